// Light, dark, or as the device has it.

import { effect, signal } from '@preact/signals'
import { read, write } from './kept.ts'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'heimdex.theme'

function kept(): Theme {
  const value = read(KEY)
  return value === 'light' || value === 'dark' ? value : 'system'
}

export const theme = signal<Theme>(kept())

effect(() => {
  const value = theme.value
  if (value === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = value
  write(KEY, value === 'system' ? null : value)
})
