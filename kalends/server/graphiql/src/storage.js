const HISTORY = ["graphiql:queries", "graphiql:favorites"];

/** The browser's storage under a prefix: other GraphiQLs on the same host and port keep their own tabs. */
export function createStorage(prefix) {
  const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  const getItem = (key) => localStorage.getItem(prefix + key);

  function setItem(key, value) {
    // GraphiQL's history keeps the headers, a key among them, even where the setting "Persist headers" is off.
    if (HISTORY.includes(key) && getItem("graphiql:shouldPersistHeaders") !== "true") {
      value = JSON.stringify(JSON.parse(value), (name, item) => (name === "headers" ? undefined : item));
    }
    localStorage.setItem(prefix + key, value);
  }

  return {
    getItem,
    setItem,
    removeItem: (key) => localStorage.removeItem(prefix + key),
    clear: () => keys().forEach((key) => localStorage.removeItem(key)),
    get length() {
      return keys().length;
    },
  };
}
