// Which parts of a text are the words that matched.

import type { Word } from './api/types.ts'

export interface Piece {
  text: string
  marked: boolean
}

/** `text` in pieces; those that are one of `words` are marked. */
export function highlight(text: string, words: Word[]): Piece[] {
  const wanted = new Set(words.map((word) => word.text).filter(Boolean))
  if (wanted.size === 0) return [{ text, marked: false }]
  const longestFirst = [...wanted].sort((a, b) => b.length - a.length)
  const pieces: Piece[] = []
  let plain = ''
  let at = 0
  while (at < text.length) {
    const word = startsWord(text, at) ? longestFirst.find((word) => text.startsWith(word, at) && endsWord(text, at + word.length, word)) : undefined
    if (word) {
      if (plain) pieces.push({ text: plain, marked: false })
      pieces.push({ text: word, marked: true })
      plain = ''
      at += word.length
    } else {
      plain += text[at]
      at += 1
    }
  }
  if (plain) pieces.push({ text: plain, marked: false })
  return pieces
}

/** The part of the pieces that begins a little before the first mark, about `length` letters long. */
export function excerpt(pieces: Piece[], length: number): Piece[] {
  const whole = pieces.reduce((sum, piece) => sum + piece.text.length, 0)
  const first = pieces.findIndex((piece) => piece.marked)
  if (whole <= length || first < 0) return pieces
  const before = pieces.slice(0, first).reduce((sum, piece) => sum + piece.text.length, 0)
  const lead = Math.floor(length / 3)
  if (before <= lead) return pieces
  const joined = pieces.slice(0, first).map((piece) => piece.text).join('')
  const cut = joined.slice(before - lead).replace(/^\S*\s+/, '')
  return [{ text: `… ${cut}`, marked: false }, ...pieces.slice(first)]
}

const letter = /[\p{L}\p{N}]/u
/** Scripts that are written without spaces have no ends of words to look for. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u

function startsWord(text: string, at: number): boolean {
  const before = text[at - 1] ?? ' '
  return !letter.test(before) || unspaced.test(before) || unspaced.test(text[at] ?? ' ')
}

function endsWord(text: string, at: number, word: string): boolean {
  const last = word[word.length - 1] ?? ' '
  const after = text[at] ?? ' '
  return !letter.test(after) || !letter.test(last) || unspaced.test(last)
}
