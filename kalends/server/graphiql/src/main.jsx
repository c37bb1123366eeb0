import "graphiql/setup-workers/vite";
// Not "graphiql/style.css": it adds Monaco's styles a second time, and 34 web fonts.
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./kalends.css";

import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import { createFetcher } from "./fetcher.js";
import { createStorage } from "./storage.js";

/** Written into the page by graphiql_page.py. */
const { endpoint, headers, tabs, workspace } = JSON.parse(document.getElementById("config").textContent);

const storage = createStorage(`kalends:${workspace}:`);
const defaultHeaders = () => JSON.parse(storage.getItem("graphiql:headers") || headers || "{}");

// GraphiQL shows the variables of the first tab only where it finds them in the storage, as after an edit.
if (tabs.length > 0 && storage.getItem("graphiql:tabState") === null) {
  storage.setItem("graphiql:query", tabs[0].query);
  storage.setItem("graphiql:variables", tabs[0].variables);
}

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={createFetcher(endpoint, defaultHeaders)}
    storage={storage}
    defaultHeaders={headers}
    defaultTabs={tabs.length > 0 ? tabs : undefined}
    defaultEditorToolsVisibility={tabs.length > 0 ? "variables" : undefined}
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>
      <span className="kalends-wordmark">Kalends</span>
    </GraphiQL.Logo>
  </GraphiQL>,
);
