/*
 * The subset of OpenSSL's header of this name that poly1305.c uses. OpenSSL's
 * own build would generate the header.
 */
#include <string.h>

/* glibc 2.25; the compiler may not optimise it away. */
#define OPENSSL_cleanse(memory, length) explicit_bzero(memory, length)
