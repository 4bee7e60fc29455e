package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// repeatableRow is a row that another worker may have written. mode is an operation mode, a letter of the dynamic mode,
// or delete; " and delete" makes the rows tombstones. known is a hint about the service's keys. want is mayRepeat,
// sentOnce or a kind of error.
type repeatableRow struct {
	mode    string
	setting string
	key     string
	known   string
	want    string
}

const mayRepeat, sentOnce = "may repeat", "sent once"

const (
	retryInDoubt  = "sap.odata.insert.uncertain=retry"
	repeatInDoubt = "sap.odata.insert.uncertain=repeatable"
)

// knownOfOrders returns the hint that the service numbers the keys of orders (n), or initial ones (f).
func knownOfOrders(capability string) string {
	return " known=" + capability + (&entityset.EntitySet{Path: gateway + "/Orders"}).Digest()
}

func checkRepeatable(t *testing.T, rows []repeatableRow) {
	t.Helper()
	for _, test := range rows {
		for _, batches := range []string{"0", "1"} {
			name := strings.Join([]string{test.mode, test.setting, test.key, test.known, "batches", batches}, " ")
			expectEqual(t, name, test.want, test.encode(t, batches))
		}
	}
}

// encode returns whether the row's request is repeatable, or the kind of the row's error.
func (r *repeatableRow) encode(t *testing.T, batches string) string {
	settings := append(set("00", "Orders"), "sap.odata.enable.batch="+batches, enableDelete, oneOrderingKey)
	mode, deletes, _ := strings.Cut(r.mode, " and ")
	switch {
	case mode == "delete":
		deletes = mode
	case len(mode) == 1:
		settings = append(settings, dynamicMode...)
	default:
		settings = append(settings, operationMode(mode))
	}
	if r.setting != "" {
		settings = append(settings, r.setting)
	}
	run := open(t, shopService(), settings...)
	host := run.host("Orders")
	for _, key := range []string{r.key, "z"} { // only the result of the first row counts
		switch {
		case deletes != "":
			host.tombstone("ID", key)
		case len(mode) == 1:
			host.value("ID", key, "Note", "n", "OP", mode)
		default:
			host.value("ID", key, "Note", "n")
		}
	}
	hints := []wit.Hint{{Row: 0, Text: wit.HintMoved + r.known}, {Row: 1, Text: wit.HintMoved}}
	encoded, err := run.p.Encode(run.context, host.schemas, []string{host.topic}, host.rows, host.data,
		make([]wit.RecordID, 2), []string{"origin"}, hints)
	require.NoError(t, err)
	result := ""
	for _, rejected := range encoded.Rejected {
		if rejected.RowIndex == 0 {
			result = rejected.Error.Kind.String()
		}
	}
	for _, ready := range encoded.Ready {
		if slices.Contains(ready.Rows, 0) {
			result = map[bool]string{true: mayRepeat, false: sentOnce}[ready.Request.Repeatable]
		}
	}
	return result
}

// An insert that another worker may have sent is sent again only if it is configured.
func TestInsertIsRepeatableOnlyIfConfigured(t *testing.T) {
	numbers := knownOfOrders("n")
	checkRepeatable(t, []repeatableRow{
		{mode: "insert", key: "a", want: sentOnce},
		{mode: "insert", setting: repeatInDoubt, key: "a", want: sentOnce},
		{mode: "insert", setting: retryInDoubt, key: "a", want: mayRepeat},
		{mode: "insert", key: "a", known: numbers, want: sentOnce},
		{mode: "I", key: "a", want: sentOnce},
	})
}

// Updates and deletes can be repeated, unless the service numbers entities, whose keys then differ.
func TestChangeIsRepeatableUnlessServiceNumbersKeys(t *testing.T) {
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	checkRepeatable(t, []repeatableRow{
		{mode: "update", key: "a", want: mayRepeat},
		{mode: "merge", key: "0", known: fills, want: mayRepeat},
		{mode: "patch", setting: useTag, key: "a", want: mayRepeat},
		{mode: "merge", key: "a", known: numbers, want: "config"},
		{mode: "delete", key: "a", want: mayRepeat},
		{mode: "delete", setting: useTag, key: "a", want: mayRepeat},
		{mode: "delete", key: "a", known: numbers, want: "config"},
		{mode: "U", key: "a", want: mayRepeat},
	})
}

// Upserts can be repeated by keys that the service keeps.
func TestUpsertIsRepeatableIfKeyIsKept(t *testing.T) {
	const upsert = "upsert"
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	checkRepeatable(t, []repeatableRow{
		{mode: upsert, key: "a", want: mayRepeat},
		{mode: upsert, key: "a", known: fills, want: mayRepeat},
		{mode: upsert, key: "a", known: " known=nXyZ", want: mayRepeat},
		{mode: upsert, setting: useTag, key: "a", want: mayRepeat},
		{mode: upsert, setting: "sap.odata.upsert.method=put", key: "a", want: mayRepeat},
		{mode: upsert, key: "0", want: sentOnce},
		{mode: upsert, key: "0", known: fills, want: sentOnce},
		{mode: upsert, key: "000", want: sentOnce},
		{mode: upsert, want: sentOnce},
		{mode: upsert, setting: useTag, key: "0", want: sentOnce},
		{mode: upsert, setting: "sap.odata.upsert.method=put", key: "0", want: sentOnce},
		{mode: upsert, setting: repeatInDoubt, key: "0", want: sentOnce},
		{mode: upsert, setting: retryInDoubt, key: "0", want: mayRepeat},
		{mode: upsert, setting: retryInDoubt, key: "0", known: fills, want: "data"},
		{mode: upsert, key: "a", known: numbers, want: "config"},
		{mode: upsert, setting: retryInDoubt, key: "a", known: numbers, want: "config"},
		{mode: upsert, key: "a", known: " known=*", want: "config"},
		{mode: upsert, setting: insertFirst, key: "a", want: sentOnce},
		{mode: upsert, setting: insertFirst, key: "0", want: sentOnce},
		{mode: upsert, setting: insertFirst, key: "a", known: numbers, want: "config"},
		{mode: "upsert and delete", key: "0", want: mayRepeat},
	})
}
