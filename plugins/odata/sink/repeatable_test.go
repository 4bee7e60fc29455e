package sink

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// repeatableRow is a row that another worker may have written. Its result is mayRepeat, sentOnce or a kind of error.
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
	for _, key := range []string{r.key, "z"} { // the other row does not count
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
	noError(t, err)
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
		{"insert", "", "a", "", sentOnce},
		{"insert", repeatInDoubt, "a", "", sentOnce},
		{"insert", retryInDoubt, "a", "", mayRepeat},
		{"insert", "", "a", numbers, sentOnce},
		{"I", "", "a", "", sentOnce},
	})
}

// Updates and deletes can be repeated, unless the service numbers entities, whose keys then differ.
func TestChangeIsRepeatableUnlessServiceNumbersKeys(t *testing.T) {
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	checkRepeatable(t, []repeatableRow{
		{"update", "", "a", "", mayRepeat},
		{"merge", "", "0", fills, mayRepeat},
		{"patch", useTag, "a", "", mayRepeat},
		{"merge", "", "a", numbers, "config"},
		{"delete", "", "a", "", mayRepeat},
		{"delete", useTag, "a", "", mayRepeat},
		{"delete", "", "a", numbers, "config"},
		{"U", "", "a", "", mayRepeat},
	})
}

// Upserts can be repeated by keys that the service keeps.
func TestUpsertIsRepeatableIfKeyIsKept(t *testing.T) {
	const upsert = "upsert"
	numbers := knownOfOrders("n")
	fills := knownOfOrders("f")
	checkRepeatable(t, []repeatableRow{
		{upsert, "", "a", "", mayRepeat},
		{upsert, "", "a", fills, mayRepeat},
		{upsert, "", "a", " known=nXyZ", mayRepeat},
		{upsert, useTag, "a", "", mayRepeat},
		{upsert, "sap.odata.upsert.method=put", "a", "", mayRepeat},
		{upsert, "", "0", "", sentOnce},
		{upsert, "", "0", fills, sentOnce},
		{upsert, "", "000", "", sentOnce},
		{upsert, "", "", "", sentOnce},
		{upsert, useTag, "0", "", sentOnce},
		{upsert, "sap.odata.upsert.method=put", "0", "", sentOnce},
		{upsert, repeatInDoubt, "0", "", sentOnce},
		{upsert, retryInDoubt, "0", "", mayRepeat},
		{upsert, retryInDoubt, "0", fills, "data"},
		{upsert, "", "a", numbers, "config"},
		{upsert, retryInDoubt, "a", numbers, "config"},
		{upsert, "", "a", " known=*", "config"},
		{upsert, insertFirst, "a", "", sentOnce},
		{upsert, insertFirst, "0", "", sentOnce},
		{upsert, insertFirst, "a", numbers, "config"},
		{"upsert and delete", "", "0", "", mayRepeat},
	})
}
