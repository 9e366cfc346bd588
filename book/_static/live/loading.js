// Loading what lies in the folder weights: models, recorded maps, recorded clips. book/tools/live.py writes it.
//
// A kind of model is entered by the file that has its class: minattn.kinds.recurrent = RecurrentTranslator. The class
// takes its Parameters and the entry of its first file. Models need layers.js and the file of their kind.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  const HERE = new URL(document.currentScript?.src ?? document.baseURI);

  /** Read a number of 16 bits: a sign, five bits of exponent, ten of fraction. */
  function halfToNumber(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  /** The checksum of zip files and of Python's zlib. */
  function crc32(bytes) {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
  }

  const READERS = {
    float16: { size: 2, read: (view, i) => halfToNumber(view.getUint16(i, true)) },
    float32: { size: 4, read: (view, i) => view.getFloat32(i, true) },
  };

  /** Unpack the tensors of one file, of any number of axes; throw if it is not whole. */
  function unpack({ dtype, bytes, crc32: expected, table, data }) {
    const buffer = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    if (buffer.length !== bytes) throw new Error(`${buffer.length} of ${bytes} bytes`);
    if (crc32(buffer) !== expected) throw new Error("the checksum is wrong");
    const view = new DataView(buffer.buffer);
    const { size, read } = READERS[dtype];
    const nested = (start, shape) => {
      if (!shape.length) return read(view, start * size);
      const [n, ...inner] = shape;
      if (!inner.length) return Float64Array.from({ length: n }, (_, i) => read(view, (start + i) * size));
      const step = inner.reduce((product, length) => product * length);
      return Array.from({ length: n }, (_, i) => nested(start + i * step, inner));
    };
    return Object.entries(table).map(([name, [offset, shape]]) => [name, nested(offset, shape)]);
  }

  /** Make a model of what stands in its files, the first of which has its settings and says of what kind it is. */
  function makeModel(entry, ...others) {
    const tensors = new Map([entry, ...others].flatMap(unpack));
    const { kind } = entry.model;
    if (!Object.hasOwn(minattn.kinds, kind)) throw new Error(`the engine knows no ${kind}`);
    return new minattn.kinds[kind](new minattn.Parameters(tensors), entry);
  }

  /** Add a script to the page; script files can be loaded from a folder, where fetch cannot read. */
  function addScript(file) {
    return new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = new URL(file + HERE.search, HERE); // of the same version as this file
      script.onload = () => resolve(true);
      script.onerror = () => resolve(false);
      document.head.append(script);
    });
  }

  /** Load a file that sets minattn[place][name], and return what it set. */
  async function loadEntry(place, name, file) {
    if (!/^[a-z0-9_]+$/.test(name)) throw new Error(`There is no model with the name “${name}”.`);
    const found = minattn[place][name] !== undefined || (await addScript(file));
    if (!found) {
      throw new Error(
        `The file ${file} could not be loaded. It belongs beside the other files of the book; ` +
          "if you copied the book or are offline, get the whole of it and try again.",
      );
    }
    if (minattn[place][name] === undefined) throw broken(file);
    return minattn[place][name];
  }

  const broken = (file, cause) =>
    new Error(
      `The file ${file} is cut short or broken. ` +
        "Try again; if that does not help, get the file anew.",
      { cause },
    );

  /** Load the weights of a model, of one file or more, and make a model of them. */
  async function loadWhole(name) {
    const address = (part) => `weights/${part}.js`;
    const entry = await loadEntry("weights", name, address(name));
    const parts = entry.parts ?? [];
    const others = await Promise.all(parts.map((part) => loadEntry("weights", part, address(part))));
    try {
      return makeModel(entry, ...others);
    } catch (cause) {
      // So that a second try loads them anew.
      for (const part of [name, ...parts]) delete minattn.weights[part];
      throw broken([name, ...parts].map(address).join(" or "), cause);
    }
  }

  const models = new Map();

  /** Load a model by name, once: a promise of a model. After a failure one may try again. */
  function loadModel(name) {
    if (!models.has(name)) {
      const loading = loadWhole(name);
      loading.catch(() => models.delete(name));
      models.set(name, loading);
    }
    return models.get(name);
  }

  const LARGEST_FILE = 20_000_000; // bytes: ten times the largest model of the book

  /**
   * Open a file of the reader's own, as minattn.live_export writes it: a promise of a translator. It is read as
   * data and never run, and it is sent nowhere.
   */
  async function openModel(file) {
    const refuse = (why, cause) => {
      throw new Error(`The file ${file.name} cannot be used: ${why}`, { cause });
    };
    if (file.size > LARGEST_FILE) refuse("it is larger than 20 MB, and a model of this book is smaller.");
    const text = await file.text().catch((cause) => refuse("it could not be read.", cause));
    const entry = /^(?:\/\/.*\n)?minattn\.weights\["[^"]*"\] = (\{[^]*)$/.exec(text);
    if (!entry) refuse("it is no model. Write one with minattn.live_export.export_live.");
    let model;
    try {
      model = makeModel(JSON.parse(entry[1].replace(/;\s*$/, "")));
    } catch (cause) {
      refuse("it is cut short or broken. Write it anew.", cause);
    }
    return model;
  }

  /** Load recorded attention maps by name: a promise of {title, causal, sequences}. */
  function loadMaps(name) {
    return loadEntry("maps", name, `weights/maps_${name}.js`);
  }

  /** Load recorded clips by name: a promise of {title, credit, clips}. */
  function loadClips(name) {
    return loadEntry("clips", name, `weights/clips_${name}.js`);
  }

  for (const place of ["kinds", "weights", "maps", "clips"]) minattn[place] ??= {};
  Object.assign(minattn, { makeModel, loadEntry, loadModel, openModel, loadMaps, loadClips });
})();
