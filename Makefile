EXTENSION = etl_framework
MODULE_big = etl_framework
DATA = $(sort $(wildcard etl_framework--*.sql))

# The folders of src/, from the top floor down: a file includes headers of its own
# folder and of those below it (headerscheck sees to that).
FLOORS = script run define publish execute table parse metastore base graph

HEADERS := $(sort $(wildcard src/*.h src/*/*.h))
OBJS := $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The suites of "make installcheck": pg_regress, isolation, TAP.
REGRESS := $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=$(EXTENSION)
ISOLATION := $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --load-extension=$(EXTENSION)
TAP_TESTS := $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS := $(sort $(wildcard test/t/*.pl))

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) $(if $(findstring clang,$(CC)),$(CLANG_CFLAGS))

# PostgreSQL's own CFLAGS and headers are made for the compiler that built it:
# this keeps clang quiet about what only gcc knows.
CLANG_CFLAGS = -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes

EXTRA_CLEAN = build

# No LLVM bitcode: there is nothing here that the JIT compiler could gain from
# inlining, and building it needs the very clang that PostgreSQL was built with.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(HEADERS)

# Tests that need no server.
unitcheck:
	$(MAKE) -C test/unit check PG_CONFIG='$(PG_CONFIG)' CC='$(CC)'

# No include leads up a floor, and every header compiles without another one
# before it, postgres.h excepted.
headerscheck:
	@test/floors src $(FLOORS)
	@for header in $(HEADERS); do \
		echo "$$header"; \
		$(CC) $(CFLAGS) $(CPPFLAGS) -fsyntax-only -include postgres.h -include "$$header" -x c /dev/null || exit 1; \
	done

# All of it, on every PostgreSQL version, against private servers.
test:
	test/run

.PHONY: unitcheck headerscheck test
