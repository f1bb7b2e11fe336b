// Reference writes reference.json: what the JavaScript package face-api finds
// in the sample photos, computed by its own networks on TensorFlow.js. The Go
// tests compare against it.
//
//   go run ../photos/make.go -raw ../photos/*.jpg        (in this folder)
//   node reference.js PACKAGE *.ppm > reference.json
//
// PACKAGE is the unpacked npm package @vladmandic/face-api 1.7.15. Both sides
// read the same pixels, so that no difference of JPEG decoders counts.

const fs = require('fs');
const path = require('path');

// The bundle for browsers holds a CPU backend and needs nothing installed. In
// node it looks for a module that the bundle left out: it must not see that it
// runs there, and is given the little it needs of a platform.
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: undefined } });
const platform = {
  now: () => performance.now(),
  encode: (text) => new TextEncoder().encode(text),
  decode: (bytes) => new TextDecoder().decode(bytes),
  isTypedArray: (a) => ArrayBuffer.isView(a) && !(a instanceof DataView),
};

const [dir, ...photos] = process.argv.slice(2);
let faceapi;

function readPPM(name) {
  const data = fs.readFileSync(name);
  const header = data.toString('latin1', 0, 32).match(/^P6\n(\d+) (\d+)\n255\n/);
  const [width, height] = [Number(header[1]), Number(header[2])];
  const pixels = data.subarray(header[0].length);
  return faceapi.tf.tensor3d(new Int32Array(pixels), [height, width, 3], 'int32');
}

async function load(net, name) {
  const manifest = JSON.parse(fs.readFileSync(path.join(dir, 'model', `${name}_model-weights_manifest.json`)));
  const bin = fs.readFileSync(path.join(dir, 'model', `${name}_model.bin`));
  const buffer = bin.buffer.slice(bin.byteOffset, bin.byteOffset + bin.length);
  await net.loadFromWeightMap(faceapi.tf.io.decodeWeights(buffer, manifest[0].weights));
}

const round = (v, digits) => Number(v.toFixed(digits));

async function main() {
  const code = fs.readFileSync(path.join(dir, 'dist/face-api.esm.js'));
  faceapi = await import(`data:text/javascript;base64,${code.toString('base64')}`);
  faceapi.tf.env().setPlatform('node', platform);
  class None {}
  faceapi.env.setEnv({ Canvas: None, CanvasRenderingContext2D: None, Image: None, ImageData: None, Video: None });
  await faceapi.tf.setBackend('cpu');
  await faceapi.tf.ready();
  await load(faceapi.nets.tinyFaceDetector, 'tiny_face_detector');
  await load(faceapi.nets.faceLandmark68Net, 'face_landmark_68');
  await load(faceapi.nets.faceRecognitionNet, 'face_recognition');
  const result = { detectorSize: 416, minScore: 0.5, photos: [] };
  for (const name of photos) {
    const tensor = readPPM(name);
    const options = new faceapi.TinyFaceDetectorOptions({ inputSize: result.detectorSize, scoreThreshold: result.minScore });
    const faces = await faceapi.detectAllFaces(tensor, options).withFaceLandmarks().withFaceDescriptors();
    result.photos.push({
      photo: path.basename(name, '.ppm'),
      faces: faces.map((f) => ({
        box: [f.detection.box.x, f.detection.box.y, f.detection.box.width, f.detection.box.height].map((v) => round(v, 3)),
        score: round(f.detection.score, 5),
        landmarks: f.landmarks.positions.flatMap((p) => [round(p.x, 2), round(p.y, 2)]),
        descriptor: Array.from(f.descriptor, (v) => round(v, 5)),
      })),
    });
    tensor.dispose();
    console.error(name, faces.length);
  }
  process.stdout.write('{"detectorSize":416,"minScore":0.5,"photos":[\n');
  process.stdout.write(result.photos.map((p) => `{"photo":"${p.photo}","faces":[\n${p.faces.map((f) => JSON.stringify(f)).join(',\n')}]}`).join(',\n'));
  process.stdout.write('\n]}\n');
}

main();
