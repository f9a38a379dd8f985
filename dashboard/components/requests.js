// @ts-check
/** Fetching from the dashboard's own routes; a failure becomes an Error with the server's sentence. */
(function () {
  'use strict';

  class RequestError extends Error {
    constructor(/** @type {string} */ message, /** @type {number} */ status) {
      super(message);
      this.status = status;
    }
  }

  /** Answers asked for before anybody needs them, each for whoever asks first. @type {Map<string, Promise<any>>} */
  const early = new Map();

  /** Ask for JSON that will be needed soon. @param {string} path @param {Record<string, any>} [parameters] */
  function askEarly(path, parameters) {
    const asked = address(path, parameters);
    if (early.has(asked)) return;
    const coming = getJson(path, parameters);
    coming.catch(() => {}); // whoever takes the answer tells of its failure
    early.set(asked, coming);
  }

  /** Where the routes are: the page may be served below a prefix. */
  let base = '/api';

  /**
   * @param {string} path below /api, such as "run/values"
   * @param {Record<string, string|number|null|undefined>} [parameters] null and undefined are left out
   */
  function address(path, parameters = {}) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(parameters)) {
      if (value !== null && value !== undefined) query.set(key, String(value));
    }
    const text = query.toString();
    return `${base}/${path}${text ? `?${text}` : ''}`;
  }

  /** @param {string} path @param {Record<string, any>} [parameters] @param {AbortSignal} [signal] */
  async function request(path, parameters, signal) {
    let response;
    try {
      response = await fetch(address(path, parameters), { signal, credentials: 'same-origin' });
    } catch (error) {
      if (/** @type {Error} */ (error).name === 'AbortError') throw error;
      throw new RequestError('The dashboard does not answer. Is `interp view` still running?', 0);
    }
    if (response.ok) return response;
    const answer = await response.json().catch(() => null);
    const text = answer && answer.error ? answer.error : `The request for ${path} failed with status ${response.status}.`;
    throw new RequestError(text, response.status);
  }

  /** @param {string} path @param {Record<string, any>} [parameters] @param {AbortSignal} [signal] */
  async function getJson(path, parameters, signal) {
    const asked = address(path, parameters);
    const coming = early.get(asked);
    early.delete(asked);
    return coming || (await request(path, parameters, signal)).json();
  }
  /** @param {string} path @param {Record<string, any>} [parameters] @param {AbortSignal} [signal] */
  const getBuffer = async (path, parameters, signal) => (await request(path, parameters, signal)).arrayBuffer();

  /** Run a task and show its failure in the page; an aborted one is nobody's failure. */
  async function guarded(/** @type {() => Promise<any>} */ task) {
    try {
      return await task();
    } catch (error) {
      const problem = /** @type {Error} */ (error);
      if (problem.name !== 'AbortError') {
        globalThis.interp.selection.report(problem.message);
        if (!(problem instanceof RequestError)) console.error(problem);
      }
      return undefined;
    }
  }

  function setBase(/** @type {string} */ prefix) {
    base = `${prefix.replace(/\/$/, '')}/api`;
  }

  globalThis.interp.requests = { RequestError, address, askEarly, getJson, getBuffer, guarded, setBase };
})();
