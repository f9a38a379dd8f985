// How colours look to people who see some of them less: for the tests of palettes.
'use strict';

// Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
const BLINDNESS = {
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, w, k) => sum + w * vector[k], 0));

/** Linear RGB as an eye sees it, within the gamut. */
function linearOf(rgb, matrix) {
  const linear = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return matrix ? times(matrix, linear).map((c) => Math.max(0, Math.min(1, c))) : linear;
}

/** Oklab (Ottosson 2020): distances of 0.02 are just noticeable. */
function asOklab(rgb, matrix) {
  const cones = times([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], linearOf(rgb, matrix));
  return times([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]], cones.map(Math.cbrt));
}

module.exports = { BLINDNESS, linearOf, asOklab };
