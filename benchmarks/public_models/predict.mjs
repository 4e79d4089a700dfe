// What each predict script here does around its model: read the images, time it, write the predictions.
import fs from 'node:fs';

export const CLASSES = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];

// `predict` maps a gray image of 48 x 48 bytes to probabilities in the order of CLASSES.
export async function writePredictions(predict) {
  const [folder, file] = process.argv.slice(2);
  const ids = JSON.parse(fs.readFileSync(`${folder}/ids.json`));
  const bytes = fs.readFileSync(`${folder}/images.bin`);
  const image = (i) => bytes.subarray(48 * 48 * i, 48 * 48 * (i + 1));
  for (let i = 0; i < 10; i++) await predict(image(i));
  const milliseconds = [], lines = [['sample_id', ...CLASSES].join(',')];
  for (const [i, id] of ids.entries()) {
    const start = performance.now();
    const found = await predict(image(i));
    milliseconds.push(performance.now() - start);
    lines.push([id, ...found.map((value) => value.toFixed(4))].join(','));
  }
  fs.writeFileSync(file, lines.join('\n') + '\n');
  milliseconds.sort((a, b) => a - b);
  console.log(`${ids.length} images, median ${milliseconds[ids.length >> 1].toFixed(2)} ms a face`);
}
