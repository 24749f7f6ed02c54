// Videos to upload, with subtitles inside, so that what is said is known without a model of speech.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './server.mjs'

const shared = join(repository, '../shared/media')

const lines = {
  forest: [
    [0.5, 4, 'A deer stands at the edge of the forest.'],
    [4.5, 9, 'Leaves lie on a rock in the autumn light.'],
    [9.5, 14, 'Far away the telescope follows Jupiter and its moons.'],
    [14.5, 19, '미나가 빗속에서 빨간 자동차를 봤다고 말했다.'],
    [19.5, 23, 'We fry onions & garlic in butter for the stew.'],
  ],
  kitchen: [
    [0.2, 1.5, 'Cut the carrots into small pieces.'],
    [1.7, 3.5, 'Now the soup has to rest.'],
  ],
}

/** A clip of about 24 seconds: PySceneDetect's own where it is at hand, else a drawn one. */
export function forest(folder) {
  const real = join(shared, 'real/testvideo.mp4')
  const picture = existsSync(real)
    ? ['-i', real]
    : ['-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=25:d=12', '-f', 'lavfi', '-i', 'mandelbrot=s=640x360:r=25:maxiter=100']
  const video = existsSync(real)
    ? ['-map', '0:v', '-map', '0:a?', '-c:v', 'copy', '-c:a', 'copy']
    : ['-filter_complex', '[1]trim=duration=12,setpts=PTS-STARTPTS[b];[0][b]concat=n=2,format=yuv420p[v]', '-map', '[v]', '-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '600k']
  return mux(join(folder, 'A deer in the forest.mp4'), picture, video, lines.forest)
}

/** A short drawn clip. */
export function kitchen(folder) {
  return mux(
    join(folder, 'Kitchen.mp4'),
    ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=25:d=4'],
    ['-map', '0:v', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'],
    lines.kitchen,
  )
}

/** A file that is called a video and is none. */
export function noVideo(folder) {
  const path = join(folder, 'notes.mp4')
  writeFileSync(path, 'This is a text. '.repeat(400))
  return path
}

/** The beginning of a video, and nothing behind it. */
export function broken(folder, video) {
  const path = join(folder, 'Broken.mp4')
  writeFileSync(path, Buffer.concat([readFileSync(video).subarray(0, 64), Buffer.alloc(100_000)]))
  return path
}

/** A frame of a video as a PNG. */
export function frame(video, seconds, path) {
  execFileSync('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-y', '-ss', String(seconds), '-i', video, '-frames:v', '1', path])
  return path
}

function mux(path, inputs, codecs, cues) {
  const subtitles = `${path}.srt`
  const at = (s) => new Date(s * 1000).toISOString().slice(11, 23).replace('.', ',')
  writeFileSync(subtitles, cues.map(([from, to, text], i) => `${i + 1}\n${at(from)} --> ${at(to)}\n${text}\n`).join('\n'))
  const number = inputs.filter((part) => part === '-i').length
  const args = ['-hide_banner', '-loglevel', 'error', '-y', ...inputs, '-i', subtitles, ...codecs]
  args.push('-map', `${number}:s`, '-c:s', 'mov_text', '-metadata:s:s:0', 'language=eng', '-movflags', '+faststart', path)
  execFileSync('ffmpeg', args)
  return path
}
