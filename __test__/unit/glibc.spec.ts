import test from 'ava'
import { tooNew } from '../../tools/glibc.mjs'

/** Output of `objdump -T` of binutils, with defined and weak symbols. */
const TABLE = `
target.node:     file format elf64-x86-64

DYNAMIC SYMBOL TABLE:
0000000000000000  w   D  *UND*	0000000000000000              __gmon_start__
0000000000000000  w   DF *UND*	0000000000000000 (GLIBC_2.2.5) __cxa_finalize
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.25) explicit_bzero
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.28) statx
0000000000000000      DF *UND*	0000000000000000 (GCC_3.0)    _Unwind_Resume
0000000000229780 g    DF .text	0000000000000033  Base        napi_register_module_v1
`

test('symbols of glibc 2.28 and older are accepted', (t) => {
  t.deepEqual(tooNew(TABLE), [])
})

test('a symbol of a newer glibc is named with its version, in C parts too', (t) => {
  const newer = `${TABLE}0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.34) pthread_create
0000000000000000      DF *UND*	0000000000000000  GLIBC_2.38  __isoc23_strtol
`
  t.deepEqual(tooNew(newer), ['pthread_create (2.34)', '__isoc23_strtol (2.38)'])
})

test('a table without glibc symbols has no result', (t) => {
  t.is(tooNew('no symbols'), undefined)
})
