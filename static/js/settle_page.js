// The page of a settle: where it stands and its runs update while they train.

import { enableConfirmation } from "./confirm_submit.js";
import { openEventStream } from "./event_stream.js";
import { enableLiveFragments } from "./live_fragments.js";
import { enableLiveRows } from "./live_rows.js";
import { localizeTimes } from "./local_times.js";
import { enableProgress } from "./progress_bars.js";

localizeTimes();
enableConfirmation();
enableLiveFragments();
enableLiveRows();
enableProgress();
openEventStream();
