// npm's `@vladmandic/human`: its network on the whole image, with the steps of its src/gear/emotion.ts. See ../README.md.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { writePredictions } from '../predict.mjs';

const require = createRequire(`${process.cwd()}/`); // the folder of node_modules
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + '/');
wasm.setThreadsCount(1);
await tf.setBackend('wasm');
const models = path.join(process.cwd(), 'node_modules/@vladmandic/human/models');
const graph = JSON.parse(fs.readFileSync(`${models}/emotion.json`));
const weights = fs.readFileSync(`${models}/emotion.bin`);
const weightData = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength);
const { modelTopology, weightsManifest, format } = graph;
const weightSpecs = weightsManifest[0].weights;
const model = await tf.loadGraphModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData, format }));
const size = model.inputs[0].shape[2];

await writePredictions(async (bytes) => {
  const found = tf.tidy(() => {
    const image = tf.tensor4d(Uint8Array.from(bytes), [1, 48, 48, 1], 'int32').div(255);
    return model.execute(tf.image.resizeBilinear(image, [size, size], false).sub(0.5).mul(2));
  });
  const values = [...(await found.data())];
  found.dispose();
  return values;
});
