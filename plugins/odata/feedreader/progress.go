package feedreader

import (
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Progress returns the progress of the load that an offset of full mode belongs to. It is nil for an empty offset, and
// for the end of a load of an earlier version, which stored no proof.
func Progress(offset []wit.OffsetEntry) *wit.LoadProgress {
	progress := &wit.LoadProgress{Complete: Complete(offset)}
	if progress.Complete == nil && (len(offset) == 0 || paging.LookupFlag(offset, "done")) {
		return nil
	}
	if rowsRead := numberField(offset, "seen"); rowsRead != nil {
		progress.Read = *rowsRead
	}
	progress.Total = numberField(offset, "count")
	return progress
}

// Complete returns the proof with which the last load has ended, nil if the offset has no proof.
func Complete(offset []wit.OffsetEntry) *string {
	if value, ok := wit.Lookup(offset, "complete"); ok && value.String != nil && *value.String != "" {
		return value.String
	}
	return nil
}

func numberField(offset []wit.OffsetEntry, name string) *uint64 {
	if value, ok := wit.Lookup(offset, name); ok && value.Integer != nil && *value.Integer >= 0 {
		return wit.Ptr(uint64(*value.Integer))
	}
	return nil
}
