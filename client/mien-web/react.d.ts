/** `import type {} from "mien-web/react"` tells TypeScript of `<mien-camera>` in JSX, for React 19. */

import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { MienCamera } from "mien-web/camera";
import type { FrameResult } from "mien-web";

interface MienCameraAttributes extends DetailedHTMLProps<HTMLAttributes<MienCamera>, MienCamera> {
  assets?: string;
  runtime?: string;
  model?: string;
  landmarks?: boolean;
  unmirrored?: boolean;
  onresult?: (event: CustomEvent<FrameResult>) => void;
  onerror?: (event: CustomEvent<Error>) => void;
}

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "mien-camera": MienCameraAttributes;
    }
  }
}
