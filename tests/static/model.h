/* For analysers only: what they cannot see from a declaration. err_set and
 * err_sys return the status that they are given. */
#include "hook/base/err.h"

#define err_set(err, st, ...) ((void)(err_set)((err), (st), __VA_ARGS__), (st))
#define err_sys(err, st, ...) ((void)(err_sys)((err), (st), __VA_ARGS__), (st))
