# What quickstart, test/run and test/suites share: packages, a private
# installation and a private server.  Sourced, never run; bash 4.4 or later.
# Works on Debian and Ubuntu.

min_major=15

say() { printf '==> %s\n' "$*"; }
complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { complain "$@"; exit 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else die "needs root, or sudo, for: $*"
	fi
}

# The account that servers run as: PostgreSQL refuses root.
unprivileged_user() {
	if [ "$(id -u)" -ne 0 ]; then id -un
	elif id postgres >/dev/null 2>&1; then echo postgres
	else echo nobody
	fi
}

# become USER: sets the array as_user to the words that, put before a command,
# run it as USER, without a shell or a session in between.
# shellcheck disable=SC2034 # used by those who source this
become() {
	as_user=(env)
	[ "$(id -un)" = "$1" ] ||
		as_user=(setpriv --reuid "$1" --regid "$(id -g "$1")" --init-groups env HOME=/tmp USER="$1" LOGNAME="$1")
}

apt_update() {
	[ -n "${apt_updated-}" ] && return
	say 'apt-get update'
	# One unreachable source must not be the end; installing tells what is missing.
	as_root apt-get -qq update </dev/null || complain 'apt-get update reported errors'
	apt_updated=1
}

# apt_install PACKAGE...: those that are missing; says nothing when none is.
apt_install() {
	local package missing=()
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return
	apt_update
	say "installing ${missing[*]}"
	apt_install_without_cluster "${missing[@]}"
}

# A PostgreSQL package brings a system cluster and starts it, unless it is told
# not to for as long as it is being installed.  Clusters that exist stay as they are.
apt_install_without_cluster() (
	dir=/etc/postgresql-common/createcluster.d
	trap 'as_root rm -f "$dir/50-etl_framework.conf" "$log"' EXIT
	trap 'exit 130' INT TERM HUP
	log=$(mktemp)
	as_root mkdir -p "$dir"
	echo 'create_main_cluster = false' | as_root tee "$dir/50-etl_framework.conf" >/dev/null
	if ! as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -y -qq install --no-install-recommends "$@" </dev/null >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "could not install $*"
	fi
)

installed_majors() {
	local dir
	for dir in /usr/lib/postgresql/*/bin/postgres; do
		[ -x "$dir" ] || continue
		dir=${dir#/usr/lib/postgresql/}
		echo "${dir%%/*}"
	done
}

available_majors() {
	apt_update >&2
	# The distribution's default goes last, so that it is the one taken.
	apt-cache search --names-only '^postgresql-[0-9]+$' | sed -E 's/^postgresql-([0-9]+) .*/\1/' | sort -n
	apt-cache depends postgresql 2>/dev/null | sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p'
}

# Prints the major version to use: the newest that is installed, or else the
# distribution's default, or else the newest that it has.
choose_major() {
	local major
	major=$(installed_majors | awk -v min=$min_major '$1 >= min' | sort -n | tail -n 1)
	[ -n "$major" ] || major=$(available_majors | awk -v min=$min_major '$1 >= min' | tail -n 1)
	[ -n "$major" ] || die "found no PostgreSQL $min_major or later, neither installed nor among apt's packages"
	echo "$major"
}

# copy_sources FROM TO: without version control and what was built.
copy_sources() {
	mkdir -p "$2"
	tar -C "$1" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$2" -xf -
}

# extension_settings PG_CONFIG DESTDIR: the lines of postgresql.conf with which
# a server finds an extension that was installed under DESTDIR.  Fails where the
# server has no such setting (15 to 17 when not built by Debian).
extension_settings() {
	local major
	major=$("$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
	echo "dynamic_library_path = '$2$("$1" --pkglibdir):\$libdir'"
	if [ "$major" -ge 18 ]; then
		echo "extension_control_path = '$2$("$1" --sharedir):\$system'"
	elif "$("$1" --bindir)/postgres" --describe-config | grep '^extension_destdir' >/dev/null; then
		echo "extension_destdir = '$2'"
	else
		return 1
	fi
}

# start_server PG_CONFIG DIR [SETTINGS-FILE...]: a server with nothing but a
# socket, superuser postgres, everything under DIR.  Run as an ordinary user.
# Exports the PG* variables with which clients find it.
start_server() {
	local bindir dir=$2
	bindir=$("$1" --bindir)
	shift 2
	mkdir -p "$dir"
	"$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; return 1; }
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$dir'"
		cat /dev/null "$@"
	} >>"$dir/data/postgresql.conf"
	"$bindir/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -s start </dev/null || { cat "$dir/server.log" >&2; return 1; }
	export PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# stop_servers PG_CONFIG DIR: every server whose data lies under DIR.
stop_servers() {
	local pid_file
	[ -d "$2" ] || return 0
	find "$2" -name postmaster.pid 2>/dev/null | while read -r pid_file; do
		"$("$1" --bindir)/pg_ctl" -D "${pid_file%/*}" -m fast -t 20 -s stop >/dev/null 2>&1 ||
			"$("$1" --bindir)/pg_ctl" -D "${pid_file%/*}" -m immediate -t 20 -s stop >/dev/null 2>&1 || true
	done
}
