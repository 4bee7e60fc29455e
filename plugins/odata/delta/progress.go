package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Progress returns the progress of the load that an offset of delta mode belongs to. In other phases, it has only the
// proof of the last load, or is nil if the offset has no proof.
func Progress(offset []wit.OffsetEntry) *wit.LoadProgress {
	switch paging.LookupText(offset, "phase") {
	case "load", "hidden":
		progress := feedreader.Progress(offset)
		progress.Total = nil    // nothing counts what links with a delta token return
		progress.Complete = nil // the offset has only the proof of the load before
		return progress
	case "keys":
		progress := feedreader.Progress(stripPrefix(snapshotPrefix, offset))
		progress.Complete = nil // the load has no proof before its hidden rows were read
		return progress
	case "second":
		return feedreader.Progress(stripPrefix(snapshotPrefix, offset))
	}
	if complete := feedreader.Complete(offset); complete != nil {
		return &wit.LoadProgress{Complete: complete}
	}
	return nil
}
