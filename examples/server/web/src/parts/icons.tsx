// Drawings of 24 by 24 in one stroke.

const paths = {
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20 20l-4-4',
  close: 'M6 6l12 12M18 6 6 18',
  upload: 'M12 16V5M7 9l5-5 5 5M5 15v3a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-3',
  play: 'M8 5.5v13l10.5-6.5z',
  pause: 'M8 5v14M16 5v14',
  image: 'M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1ZM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15 9h.01',
  filter: 'M4 7h16M7 12h10M10 17h4',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20a7.5 7.5 0 0 1 15 0',
  people: 'M9 12a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3 19a6 6 0 0 1 12 0M16 5.3a3.5 3.5 0 0 1 0 6.4M17.5 14a6 6 0 0 1 3.5 5',
  library: 'M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z',
  more: 'M12 6h.01M12 12h.01M12 18h.01',
  trash: 'M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12',
  edit: 'M5 19l1-4L16 5l3 3L9 18z',
  back: 'M15 5l-7 7 7 7',
  again: 'M19 12a7 7 0 1 1-2.1-5M19 4v4h-4',
  stop: 'M7 7h10v10H7z',
  like: 'M4 8h11v11H4zM9 8V5h11v11h-5',
  warn: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  film: 'M5 5h14v14H5zM9 5v14M15 5v14M5 9.5h4M5 14.5h4M15 9.5h4M15 14.5h4',
  bars: 'M5 19V11M12 19V5M19 19v-5',
  captions: 'M4 6h16v12H4zM8 12h3M8 15h6M13 12h3',
  eye: 'M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6ZM12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z',
} as const

export type IconName = keyof typeof paths

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
