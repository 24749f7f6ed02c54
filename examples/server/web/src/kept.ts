// What the browser keeps between visits.

/** What the browser keeps under a name; nothing where it keeps nothing (private windows, full disks). */
export function read(key: string, storage: 'local' | 'session' = 'local'): string | null {
  try {
    return (storage === 'local' ? localStorage : sessionStorage).getItem(key)
  } catch {
    return null
  }
}

export function write(key: string, value: string | null, storage: 'local' | 'session' = 'local'): void {
  try {
    const place = storage === 'local' ? localStorage : sessionStorage
    if (value === null) place.removeItem(key)
    else place.setItem(key, value)
  } catch {
    // The page works without it until it is closed.
  }
}
