// npm's `@vladmandic/face-api`: its own network and preprocessing on the whole image. See ../README.md.
import { createRequire } from 'node:module';
import path from 'node:path';
import { writePredictions } from '../predict.mjs';

const require = createRequire(`${process.cwd()}/`); // the folder of node_modules
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + '/');
wasm.setThreadsCount(1);
await tf.setBackend('wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const models = path.join(path.dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');
await faceapi.nets.faceExpressionNet.loadFromDisk(models);

await writePredictions(async (bytes) => {
  const image = tf.tidy(() => tf.stack([0, 1, 2].map(() => tf.tensor2d(Uint8Array.from(bytes), [48, 48])), 2));
  const found = await faceapi.nets.faceExpressionNet.predictExpressions(image);
  image.dispose();
  return ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'].map((name) => found[name]);
});
