import { useState } from "react";
import { createRoot } from "react-dom/client";
import "mien-web/camera";

function Faces() {
  const [text, say] = useState("Start the camera.");
  const show = ({ detail }) => say(detail.faces.map((face) => face.expression.label).join(", ") || "no face");
  return (
    <>
      <mien-camera assets="/models/" onresult={show} onerror={({ detail }) => say(detail.message)} />
      <p>{text}</p>
    </>
  );
}

createRoot(document.querySelector("main")).render(<Faces />);
