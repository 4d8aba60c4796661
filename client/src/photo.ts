/** The photograph page: a photograph that was chosen is analyzed at once. */

import { acceptFiles } from "./drop";

acceptFiles((form) => {
  form.setAttribute("aria-busy", "true");
  form.requestSubmit();
});
