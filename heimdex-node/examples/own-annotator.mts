// A channel of your own: scenes are found by their light.
//
// own-annotator.mts VIDEO LIBRARY "golden light"
import { type Annotator, open } from 'heimdex'

/** Names the light of a scene by the mean of its colours. */
const light: Annotator = {
  channel: 'light',
  version: '1',
  annotate({ pictures }) {
    const sum: [number, number, number] = [0, 0, 0]
    let pixels = 0
    for (const { data } of pictures) {
      for (let i = 0; i + 2 < data.length; i += 3) {
        sum[0] += data[i] ?? 0
        sum[1] += data[i + 1] ?? 0
        sum[2] += data[i + 2] ?? 0
      }
      pixels += data.length / 3
    }
    const [red, green, blue] = sum.map((total) => total / Math.max(pixels, 1)) as [number, number, number]
    const brightness = red + green + blue > 330 ? 'bright' : 'dark'
    const colour = red > blue + 20 ? 'golden warm' : blue > red + 20 ? 'blue cold' : 'neutral'
    return { text: `${brightness} ${colour} light`, tags: { [brightness]: 1 } }
  },
}

const [video = '', folder = 'library', query = ''] = process.argv.slice(2)
const library = await open(folder, { annotators: [light] })
await library.index(video)
for (const hit of (await library.search(query, { explain: true })).hits) {
  console.log(`${hit.video.title} at ${hit.moment_us / 1e6} s: ${hit.tags?.map((tag) => tag.label).join(', ')}`)
}
