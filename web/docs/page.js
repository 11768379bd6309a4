"use strict";

// Without its top bar, Swagger UI does not follow the colour scheme by itself.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setScheme);
setScheme();

// Swagger UI 5.35 leaves a $ref among the parameters of a path unresolved if a link such as /docs#/Orders/buy
// opened the operation, so they are moved to the operations.
const moveParameters = (update) => (doc) => {
  for (const path of Object.values(doc.paths || {})) {
    const { parameters = [], ...operations } = path;
    delete path.parameters;
    for (const operation of Object.values(operations)) operation.parameters = [...parameters, ...(operation.parameters || [])];
  }
  return update(doc);
};

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // the default asks validator.swagger.io about the document
  plugins: [{ statePlugins: { spec: { wrapActions: { updateJsonSpec: moveParameters } } } }],
});
