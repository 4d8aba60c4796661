/** Where the browser in use keeps its permission for the camera. */

import { t } from "./words";

/** @returns what to do where access to the camera was denied */
export function deniedHelp({ userAgent, maxTouchPoints }: Pick<Navigator, "userAgent" | "maxTouchPoints">): string {
  const has = (part: RegExp): boolean => part.test(userAgent);
  // An iPad names itself a Mac, but has a touch screen.
  if (has(/iPhone|iPod|iPad/) || (has(/Macintosh/) && maxTouchPoints > 1)) {
    if (has(/CriOS/)) return t("Camera access was denied. Allow it in the settings of the device under Apps, Chrome, Camera, then start again.");
    if (has(/FxiOS/)) return t("Camera access was denied. Allow it in the settings of the device under Apps, Firefox, Camera, then start again.");
    return t("Camera access was denied. Tap the page menu beside the address, then Website Settings, and allow the camera; then start again.");
  }
  if (has(/Android/)) {
    if (has(/Firefox/)) return t("Camera access was denied. In Firefox, tap the lock beside the address and allow the camera; then start again.");
    return t("Camera access was denied. Tap the icon beside the address, then Permissions, and allow the camera; then start again.");
  }
  if (has(/Firefox/)) return t("Camera access was denied. In Firefox, click the crossed-out camera beside the address and remove the block; then start again.");
  if (has(/Edg\//)) return t("Camera access was denied. In Edge, click the lock beside the address, then Permissions for this site, and allow the camera; then start again.");
  if (has(/Chrome\//)) return t("Camera access was denied. In Chrome, click the icon to the left of the address, and allow the camera; then start again.");
  if (has(/Safari/)) return t("Camera access was denied. In Safari, open the menu Safari, Settings for this website, and allow the camera; then start again.");
  return t("Camera access was denied. Allow it with the camera icon in the address bar, then start again.");
}
