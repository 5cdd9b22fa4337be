/*-------------------------------------------------------------------------
 *
 * option.h
 *	  Options of a pipeline and arguments of a step as data: which there are, of
 *	  which type, where in the struct, what they may be.
 *
 * One description serves the SQL function's arguments, the keys of a jsonb
 * object of changes, "did anything change?" and the checks of single values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_OPTION_H
#define ETL_OPTION_H

#include "etl.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* SQL type, member's type */
typedef enum OptionType
{
	OPTION_TEXT,				/* text, char * */
	OPTION_NAME,				/* text, char *: an identifier */
	OPTION_TEXT_LIST,			/* text[], List * of char * */
	OPTION_NAME_LIST,			/* text[], List * of char *: identifiers */
	OPTION_BOOL,				/* bool, bool */
	OPTION_INT,					/* int, int32 */
	OPTION_INTERVAL,			/* interval, int64: milliseconds */
	OPTION_WORD					/* text, enum or bool: index into words */
} OptionType;

typedef struct Option
{
	const char *name;
	OptionType	type;
	int			argno;			/* the SQL function's argument */
	size_t		offset;			/* of the member */
	size_t		size;			/* of the member */
	size_t		has_offset;		/* of a bool that says whether there is a value; 0: none */
	bool		required;		/* NULL is an error, and not the default */
	int64		min;			/* of OPTION_INT, and of OPTION_INTERVAL in milliseconds */
	int64		max;
	const char *const *words;	/* of OPTION_WORD, up to NULL */
} Option;

#define OPTION_MEMBER(struct_type, member) \
	.offset = offsetof(struct_type, member), .size = sizeof(((struct_type *) 0)->member)

/* Longer intervals are refused: 100 years. */
#define OPTION_MAX_INTERVAL_MS	(INT64CONST(36525) * 86400000)

/*
 * Sets all options of the struct from the function's arguments; where an argument
 * is NULL the option stays as it is.  Raises null_value_not_allowed for required
 * ones, name_too_long, and invalid_parameter_value.
 */
extern void option_take_arguments(const Option *options, int noptions, void *target,
								  FunctionCallInfo fcinfo);

/*
 * Sets the options that are keys of the object; null means the value that
 * "defaults" has.  "fixed" lists, up to NULL, names that are known, but cannot
 * be changed; "what" is what has the options, for messages.  Raises errors as above, and invalid_parameter_value for what is
 * no object, for unknown keys and for values of a wrong type.
 */
extern void option_take_changes(const char *what, const Option *options, int noptions,
								void *target, const void *defaults,
								const char *const *fixed, const Jsonb *changes);

/*
 * Sets the one option that has the key for its name, as option_take_changes does.
 * Returns false, and does nothing, where none has.
 */
extern bool option_take_value(const Option *options, int noptions, void *target,
							  const void *defaults, const char *key,
							  const JsonbValue *value);

/*
 * The value as people see it in the views: NULL where there is none.  Intervals
 * follow IntervalStyle.  The result may point into the struct.
 */
extern char *option_to_text(const Option *option, const void *source);

/* Return true if the option is equal, or all options are. */
extern bool option_equal(const Option *option, const void *a, const void *b);
extern bool option_all_equal(const Option *options, int noptions, const void *a, const void *b);

/*
 * Sets one option, with the same checks, from its text in a script: a value that
 * is not a list, a list, or a list with one more element.  The values are kept,
 * not copied.
 */
extern void option_take_text(const Option *option, void *target, char *value);
extern void option_take_list(const Option *option, void *target, List *value);
extern void option_add_element(const Option *option, void *target, char *value);

/*
 * Checks an identifier: 1 to NAMEDATALEN - 1 bytes.  "what" is the argument's
 * name.  Raises name_too_long or invalid_parameter_value.
 */
extern void option_check_name(const char *what, const char *name);

/*
 * Return the value of a key in jsonb; raise invalid_parameter_value, "value of key ... must be
 * <expected>", where it is of another type.  An integer that is too large is one at the limits.
 */
extern char *option_json_text(const char *key, const JsonbValue *value, const char *expected);
extern int64 option_json_int(const char *key, const JsonbValue *value);
extern void option_raise_json_type(const char *key, const char *expected);

/* Raise null_value_not_allowed: the argument of that name must not be null. */
extern void option_raise_null(const char *what);

/* Return the text of a required argument; raise null_value_not_allowed. */
extern char *option_text_argument(FunctionCallInfo fcinfo, int argno, const char *what);

#endif							/* ETL_OPTION_H */
