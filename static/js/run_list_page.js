// Pages with tables of runs: home and the list of runs.

import { enableNotifications, isAnyRunWatched } from "./browser_notifications.js";
import { enableConfirmation } from "./confirm_submit.js";
import { openEventStream } from "./event_stream.js";
import { enableLiveFragments } from "./live_fragments.js";
import { enableLiveRows, enableNewRows } from "./live_rows.js";
import { localizeTimes } from "./local_times.js";
import { enableProgress } from "./progress_bars.js";
import { enableQueueReordering } from "./queue_reordering.js";
import { enableRowSelection } from "./row_selection.js";

localizeTimes();
enableLiveFragments();
enableLiveRows();
enableNewRows();
enableProgress();
enableNotifications();
enableConfirmation();
enableRowSelection();
enableQueueReordering();
openEventStream(isAnyRunWatched);
