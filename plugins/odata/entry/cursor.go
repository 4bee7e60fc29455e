package entry

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Names of the settings of a cursor, after `sap.odata#NN.` or, for all sets, `sap.odata.`.
const (
	NameCursor   = "cursor.property"
	NameLookback = "cursor.lookback"
)

func declareCursor(both func(string, wit.SettingKind, wit.Importance, string, string, ...wit.Rule)) {
	both(NameCursor, wit.KindString, wit.Medium, "",
		"Property that grows with each change of a row, such as a time of change: the first extraction reads all "+
			"rows, each later one those whose property is at least the highest value seen. For sets without change "+
			"tracking; deleted rows don't show.",
		setting.Display("Cursor"))
	both(NameLookback, wit.KindLong, wit.Low, "0",
		"How far below the highest value seen an extraction by cursor begins: seconds of dates, else units of "+
			"numbers. For rows that are committed late, and those that change while others are read. Rows that came "+
			"before and are the same are left out.",
		setting.AtLeast(0), setting.Display("Look-back"))
}

// examineCursor complains of a look-back without a cursor, and of a cursor where changes are tracked.
func examineCursor(e *Entry, examined []wit.ConfigValue) {
	if e.Cursor != "" && e.Tracking.On {
		name := config.InGroup(e.Number, NameTrackChanges)
		setting.AddError(examined, name, setting.Invalid(name, "1", "expected 0 with "+config.InGroup(e.Number,
			NameCursor)+": a set is read by changes or by a cursor"))
	}
	if e.Lookback > 0 && e.Cursor == "" {
		name := config.InGroup(e.Number, NameLookback)
		setting.AddError(examined, name, setting.Invalid(name, "", "expected "+config.InGroup(e.Number,
			NameCursor)+" with it"))
	}
}
