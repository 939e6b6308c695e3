/** The error of a missing or unloadable addon: the platform, the packages tried, and a remedy. */

/** Location of the build instructions. */
const SOURCES = 'https://github.com/ferroswarm/ferroswarm'
/** Minimum glibc of the release builds, which CI checks; the same as in tools/glibc.mjs. */
const GLIBC_MIN = '2.28'
/** Targets by napi name; a test compares them with package.json. */
export const PLATFORMS: readonly string[] = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc'
]

/** Message of a missing candidate; any other error means that it exists but could not be loaded. */
const ABSENT = /^Cannot find (?:module|package) '([^']+)'/

/** The addon could not be loaded; `code` is `ERR_ADDON`. */
export class AddonError extends Error {
  static {
    Object.defineProperty(AddonError.prototype, 'name', {
      value: 'AddonError',
      configurable: true,
      writable: true
    })
  }

  readonly code = 'ERR_ADDON'
  readonly kind = 'environment'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    // The frames would be those of module loading, in whichever module imports this first.
    this.stack = `${this.name}: ${message}`
  }
}

/**
 * Converts an error of the generated binding, which tries candidates one after the other and chains their errors as
 * causes.
 */
export function addonError(err: unknown, platform = currentPlatform()): AddonError {
  const chain = causes(err)
  const tried = chain.map(firstLine)
  const broken = chain.find((each) => isFault(firstLine(each)))
  return new AddonError(
    describe(platform, tried, broken && firstLine(broken)),
    broken === undefined ? {} : { cause: broken }
  )
}

function describe(platform: string, tried: readonly string[], broken: string | undefined): string {
  if (!PLATFORMS.includes(platform)) {
    return (
      `ferroswarm has no native addon for ${platform}, only for ${PLATFORMS.join(', ')}: run it on one of ` +
      `these, or build it from ${SOURCES}`
    )
  }
  if (broken !== undefined && /GLIBC_\d/.test(broken)) {
    return (
      `ferroswarm's native addon for ${platform} needs a newer glibc than this system has (${broken}): run it on ` +
      `glibc ${GLIBC_MIN} or newer, or build it from ${SOURCES}`
    )
  }
  if (broken !== undefined) {
    return (
      `ferroswarm's native addon for ${platform} is installed but cannot be loaded (${broken}): install the packages ` +
      `again on this machine, or build it from ${SOURCES}`
    )
  }
  const sought = tried
    .map((message) => ABSENT.exec(message)?.[1])
    .filter((name) => name !== undefined && !name.includes('wasi'))
  const names = sought.length > 0 ? sought.join(' and ') : `@ferroswarm/native-${platform}`
  return (
    `ferroswarm's native addon for ${platform} is not installed: looked for ${names}; install the packages again on ` +
    'this machine, with optional dependencies (no --omit=optional, no node_modules of another platform)'
  )
}

/** Returns whether the message is about a candidate that exists; the messages for missing ones are known. */
function isFault(message: string): boolean {
  return !ABSENT.test(message) && !/^(?:Cannot find native binding|Unsupported )/.test(message)
}

/** Returns the errors of the candidates in order, unchained: each without its cause. */
function causes(err: unknown): Error[] {
  const chain: Error[] = []
  for (let each = err; each instanceof Error; ) {
    const { cause } = each
    delete each.cause
    chain.unshift(each)
    each = cause
  }
  return chain
}

function firstLine({ message }: Error): string {
  return message.split('\n', 1)[0] ?? ''
}

/** Returns the napi name of this platform. */
function currentPlatform(): string {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
}

function isMusl(): boolean {
  try {
    // Not imported: this runs on the error path only.
    return process.getBuiltinModule('node:fs').readFileSync('/usr/bin/ldd', 'utf8').includes('musl')
  } catch {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
    return header.glibcVersionRuntime === undefined
  }
}
