// Convolutions for the live places, as torch.nn.Conv2d, which minattn.pictures is built with. A picture is
// {width, cells}: one vector for each pixel or cell, row after row, so that what comes out is a sequence of tokens.
window.minattn = window.minattn ?? {};

(() => {
  "use strict";

  /** Put so many rows and columns of one vector around a picture. */
  function padded({ width, cells }, by, vector) {
    const wide = width + 2 * by;
    const line = (n) => new Array(n).fill(vector);
    const rows = Array.from({ length: cells.length / width }, (_, y) =>
      [...line(by), ...cells.slice(y * width, (y + 1) * width), ...line(by)]);
    return { width: wide, cells: [...line(by * wide), ...rows.flat(), ...line(by * wide)] };
  }

  /** A convolution without padding. */
  class Conv2d {
    constructor(parameters, { stride = 1 } = {}) {
      const weight = parameters.get("weight"); // outputs, inputs, rows and columns of the kernel
      this.bias = parameters.get("bias");
      this.stride = stride;
      this.side = weight[0][0].length;
      this.inputs = weight[0].length;
      // In the order in which the cells under a kernel are read: row by row, cell by cell.
      this.rows = weight.map((kernels) => Float64Array.from(
        { length: this.inputs * this.side ** 2 },
        (_, i) => kernels[i % this.inputs][Math.floor(i / this.inputs / this.side)][
          Math.floor(i / this.inputs) % this.side]));
    }

    forward({ width, cells }) {
      const { side, stride, inputs, rows, bias } = this;
      const places = (n) => Math.floor((n - side) / stride) + 1;
      const [columns, lines] = [places(width), places(cells.length / width)];
      const under = new Float64Array(inputs * side ** 2); // what lies under the kernel
      const made = [];
      for (let y = 0; y < lines; y++) {
        for (let x = 0; x < columns; x++) {
          for (let v = 0, at = 0; v < side; v++) {
            for (let u = 0; u < side; u++, at += inputs) {
              under.set(cells[(y * stride + v) * width + x * stride + u], at);
            }
          }
          const cell = new Float64Array(rows.length);
          for (let o = 0; o < rows.length; o++) {
            const row = rows[o];
            let sum = bias[o];
            for (let i = 0; i < under.length; i++) sum += row[i] * under[i];
            cell[o] = sum;
          }
          made.push(cell);
        }
      }
      return { width: columns, cells: made };
    }
  }

  Object.assign(minattn, { Conv2d, padded });
})();
