/* Calls one after the other, so that Python is left once for all of them. */

#include <stddef.h>
#include <string.h>

/* Halide gives each pipeline a second entry point, which takes its arguments in an array. */
typedef int (*pipeline)(void **arguments);

/* Make the calls in order; return the first code that is not 0, with the number of its call. */
int faltung_calls(int count, const pipeline *functions, void **const *arguments, int *failed)
{
    for (int i = 0; i < count; ++i) {
        const int code = functions[i](arguments[i]);
        if (code != 0) {
            *failed = i;
            return code;
        }
    }
    return 0;
}

/* Copy: to where, from where, and the number of bytes. */
int faltung_copy_argv(void **arguments)
{
    memcpy(arguments[0], arguments[1], *(const size_t *)arguments[2]);
    return 0;
}
