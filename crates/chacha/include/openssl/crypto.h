/*
 * What poly1305.c takes of OpenSSL's header of this name, which OpenSSL's own
 * build would generate.
 */
#include <string.h>

/* glibc 2.25; the compiler may not leave it out. */
#define OPENSSL_cleanse(memory, length) explicit_bzero(memory, length)
