// Times, sizes and dates as people read them.

const bytesFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })

/** `1:02`, or `1:00:05` from an hour on. */
export function clock(micros: number): string {
  const seconds = Math.max(0, Math.floor(micros / 1e6))
  const pad = (n: number) => String(n).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`
}

/** Microseconds of `75`, `1:15` or `1:00:05.5`; nothing when it is none of these. */
export function parseClock(text: string): number | undefined {
  const parts = text.trim().split(':')
  if (parts.length > 3 || !parts.every((part, i) => (i === parts.length - 1 ? /^\d{1,9}(\.\d+)?$/ : /^\d{1,9}$/).test(part))) {
    return undefined
  }
  const numbers = parts.map(Number)
  if (numbers.slice(1).some((n) => n >= 60)) return undefined
  return Math.round(numbers.reduce((sum, n) => sum * 60 + n, 0) * 1e6)
}

/** `2.4 MB`, in steps of 1,000. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit < 2 ? Math.round(value) : bytesFormat.format(value)} ${units[unit]}`
}

export function percent(fraction: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)}%`
}

export function date(text: string): string {
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? text : dateFormat.format(time)
}

/** The name of a language by its code, in the language of the reader. */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: 'language' }).of(code) ?? code
  } catch {
    return code
  }
}
