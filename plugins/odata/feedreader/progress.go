package feedreader

import (
	"github.com/culvert-project/culvert/wit"
)

// Progress returns the progress of the load that an offset of full mode belongs to, nil for an empty offset.
func Progress(offset []wit.OffsetEntry) *wit.LoadProgress {
	if len(offset) == 0 {
		return nil
	}
	progress := &wit.LoadProgress{Complete: Complete(offset)}
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
