package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// deliveredResponse is the response to a request, and its result as describe formats it.
type deliveredResponse struct {
	operation requests.Operation
	status    uint16
	body      string
	want      string
}

func checkResponses(t *testing.T, responses []deliveredResponse) {
	t.Helper()
	run := open(t, withoutVersion(odatatest.New(odatatest.Options{})), append(set("00", "Order_DetailCopies"),
		"sap.odata.enable.delete=1")...)
	for _, test := range responses {
		state := run.deliveryState(test.operation, "/s/Gesperrte(1)")
		response := wit.Response{Status: test.status, Body: []byte(test.body)}
		result, err := run.p.HandleResponse(run.context, state, []uint32{4}, response)
		got := describe(t, result, err)
		assert.Equal(t, test.want, got, "operation", test.operation, "HTTP", test.status, test.body)
	}
}

// The status and the body of a response decide about the row.
func TestHandleResponse(t *testing.T) {
	t.Run("successful response with error is rejected", checkSuccessfulResponseWithErrorIsRejected)
	t.Run("insert is sent again only if it was not done", checkInsertIsSentAgainOnlyIfItWasNotDone)
	t.Run("locked entity is tried again", checkLockedEntityIsTriedAgain)
	t.Run("locked logon is transient", checkLockedLogonIsTransient)
	t.Run("rejected insert has its kind", checkRejectedInsertHasItsKind)
	t.Run("deletes are repeated", checkDeletesAreRepeated)
}

// A response whose status reports success may contain an error or a logon page, which is no success.
func checkSuccessfulResponseWithErrorIsRejected(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Insert, 201, "{}", "written"},
		{requests.Insert, 204, "", "written"},
		{requests.Insert, 200, "{}", "written"},
		{requests.Insert, 200, "<html>Log on", "fault unauthorized"},
		{requests.Insert, 202, "", "refused transient"},
		{requests.Insert, 201, `{"d":{"error":1}}`, "written"},
		{requests.Insert, 200, `{"error":{"code":"1","message":{"value":"no"}}}`, "refused transient 1"},
		{requests.Insert, 201, `{"error":"timeout"}`, "refused transient"},
		{requests.Insert, 200, `{"error":{"code":"1","message":{"value":"Order 7 is locked by SMITH"}}}`,
			"again conflict"},
		{requests.Insert, 200, `{"error":{"code":"1","message":{"value":"Order 7 is being processed by user SMITH"}}}`,
			"refused transient 1"},
	})
}

// An insert is sent again at once only if the service's own document or status proves that it was not done.
func checkInsertIsSentAgainOnlyIfItWasNotDone(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Insert, 0, "", "refused conflict UNCERTAIN"},
		{requests.Insert, 304, "", "refused transient"},
		{requests.Insert, 302, "", "fault unauthorized"},
		{requests.Insert, 303, "", "refused transient"},
		{requests.Insert, 101, "", "refused transient"},
		{requests.Insert, 502, "", "refused transient"},
		{requests.Insert, 503, "", "refused transient"},
		{requests.Insert, 504, "", "refused transient"},
		{requests.Insert, 507, "no space", "refused transient"},
		{requests.Insert, 520, "<html><title>520</title>", "refused transient"},
		{requests.Insert, 524, "timeout", "refused transient"},
		{requests.Insert, 530, "", "refused transient"},
		{requests.Insert, 599, "", "refused transient"},
		{requests.Insert, 501, "", "refused transient"},
		{requests.Insert, 505, "", "refused transient"},
		{requests.Insert, 503, `{"error":{"code":"X/1","message":{"value":"not now"}}}`, "again transient"},
		{requests.Insert, 503,
			`<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>X/1</code>` +
				`<message xml:lang="en">not now</message></error>`, "again transient"},
		{requests.Insert, 503, `<error><code>X/1</code><message>not now</message></error>`, "refused transient"},
		{requests.Insert, 503, `{"error":"not now"}`, "refused transient"},
		{requests.Insert, 503, `{"error":{"code":503,"message":"not now"}}`, "refused transient"},
		{requests.Insert, 503, `{"error":{"code":"X/1","message":{"value":"not`, "refused transient"},
		{requests.Insert, 502, `{"error":{"code":"X/1","message":{"value":"not now"}}}`, "refused transient X/1"},
		{requests.Insert, 504, `{"error":{"code":"X/1"}}`, "refused transient"},
		{requests.Insert, 429, "", "again transient"},
		{requests.Insert, 408, "<html>", "refused transient"},
		{requests.Insert, 408, "stream timeout", "refused transient"},
		{requests.Insert, 406, "", "refused transient"},
		{requests.Insert, 408, `{"error":{"code":"X/1","message":{"value":"not in time"}}}`, "again transient"},
		{requests.Insert, 499, `{"code":1,"message":"context canceled"}`, "refused transient"},
		{requests.Insert, 500, "", "refused transient"},
	})
}

// A row whose entity is locked is sent again, by SAP's codes and words. They prove less of an insert that was answered
// 500.
func checkLockedEntityIsTriedAgain(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Insert, 500, "Order 7 is locked by SMITH", "refused transient"},
		{requests.Insert, 400, `{"error":{"code":"M7/021","message":{"value":"Material locked by user SMITH"}}}`,
			"again conflict"},
		{requests.Insert, 500, `{"error":{"code":"M7/021","message":{"value":"Material locked by user SMITH"}}}`,
			"again conflict"},
		{requests.Insert, 400, `{"error":{"code":"VL/045","message":{"value":"In use"}}}`, "again conflict"},
		{requests.Insert, 400, `{"error":{"code":"X/1","message":{"value":"Wird gerade von MEIER bearbeitet"}}}`,
			"again conflict"},
		{requests.Insert, 423, `{"error":{"code":"X/1","message":{"value":"Order 7 is being edited by SMITH"}}}`,
			"again conflict"},
		{requests.Insert, 403, `{"error":{"code":"X/1","message":{"value":"Order 7 is being edited by SMITH"}}}`,
			"again conflict"},
		{requests.Insert, 403, "Your address is locked", "fault forbidden"},
		{requests.Insert, 409, `{"error":{"code":"MC/601","message":{"value":"In use"}}}`, "again conflict"},
		// Codes and other words than SAP's own prove nothing of a POST that was answered 500.
		{requests.Insert, 500, `{"error":{"code":"VL/045","message":{"value":"In use"}}}`, "refused transient VL/045"},
		{requests.Insert, 500, `{"error":{"code":"X/1","message":{"value":"Order 7 is being edited by SMITH"}}}`,
			"refused transient X/1"},
		{requests.Delete, 500, `{"error":{"code":"X/1","message":{"value":"Order 7 is being edited by SMITH"}}}`,
			"again conflict"},
		{requests.Delete, 500, `{"error":{"code":"VL/045","message":{"value":"In use"}}}`, "again conflict"},
		{requests.Delete, 500, `{"error":{"code":"VL/046","message":{"value":"In use"}}}`, "refused data VL/046"},
	})
}

// A locked user, client or system concerns the task.
func checkLockedLogonIsTransient(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Insert, 400, `{"error":{"code":"00/158","message":{"value":"User is locked"}}}`, "again transient"},
		{requests.Insert, 500, `{"error":{"code":"X/1","message":{"value":"Client 100 is locked"}}}`,
			"again transient"},
		{requests.Delete, 400, `{"error":{"code":"X/1","message":{"value":"System ist gesperrt"}}}`, "again transient"},
	})
}

// The status and the service's document decide whether an insert is an error of the row or of the task.
func checkRejectedInsertHasItsKind(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Insert, 400, "", "refused data"},
		{requests.Insert, 409, "", "refused conflict"},
		{requests.Insert, 400, `{"error":{"code":"X/2","message":{"value":"Order 7 already exists"}}}`,
			"refused conflict X/2"},
		{requests.Insert, 400, `{"error":{"code":"X/2","message":{"value":"Order 7 is wrong"}}}`, "refused data X/2"},
		{requests.Insert, 403, `{"error":{"code":"X/1","message":{"value":"no right for plant 1000"}}}`,
			"refused forbidden X/1"},
		{requests.Insert, 403, "", "fault forbidden"},
		{requests.Insert, 403, "Access denied to resource", "fault forbidden"},
		{requests.Insert, 401, "", "fault unauthorized"},
		{requests.Insert, 404, "", "fault not-found"},
	})
}

// Deletes can be repeated, and a missing entity is deleted.
func checkDeletesAreRepeated(t *testing.T) {
	checkResponses(t, []deliveredResponse{
		{requests.Delete, 200, `{"error":{"code":"1","message":{"value":"no"}}}`, "refused data 1"},
		{requests.Delete, 408, "", "again transient"},
		{requests.Delete, 406, "<html>", "fault data"},
		{requests.Delete, 503, "", "again transient"},
		{requests.Delete, 520, "", "again transient"},
		{requests.Delete, 403, "<html>Forbidden", "fault forbidden"},
		{requests.Delete, 204, "", "written"},
		{requests.Delete, 404, "", "written"},
		{requests.Delete, 410, "", "written"},
		{requests.Delete, 412, "", "again confirm"},
		{requests.Delete, 0, "", "again transient"},
		{requests.Delete, 504, "", "again transient"},
		{requests.Delete, 400, "", "refused data"},
		{requests.ConfirmDelete, 404, "", "written"},
		{requests.ConfirmDelete, 200, "{}", "refused conflict"},
		{requests.ConfirmDelete, 503, "", "again transient confirm"},
		{requests.ConfirmDelete, 0, "", "again transient confirm"},
	})
}

// The error of a locked row with a message code names the setting with which such rows are sent again. Other errors do
// not, because few of them pass by themselves.
func TestErrorNamesSettingForMessageCodes(t *testing.T) {
	run := open(t, withoutVersion(odatatest.New(odatatest.Options{})), append(set("00", "Order_DetailCopies"),
		"sap.odata.enable.delete=1")...)
	for _, test := range []struct {
		status  uint16
		body    string
		advised string // part of the message; "" means that the setting is not named
	}{
		{400, denial("M7/021", "Pedido bloqueado por SMITH"), ""},
		{400, denial("MC/601", "Pedido bloqueado por SMITH"), "; with MC/601 added to sap.odata.http.codes, " +
			"such records are sent again until the task fails, and none is rejected"},
		{400, denial("400", "Pedido bloqueado por SMITH"), ""},
		{400, denial("X/2", "Order 7 already exists"), ""},
		{400, "Pedido bloqueado", ""},
	} {
		result, err := run.p.HandleResponse(run.context, run.deliveryState(requests.Insert, "/s/Orders"), []uint32{4},
			wit.Response{Status: test.status, Body: []byte(test.body)})
		require.NoError(t, err)
		failure := result.Results[0].Rejected
		if failure == nil {
			failure = result.Results[0].Retry.Error
		}
		isAdvised := strings.Contains(failure.Message, "sap.odata.http.codes")
		assert.True(t, isAdvised == (test.advised != "") && strings.Contains(failure.Message, test.advised),
			"%s: expected %q, found %q", test.body, test.advised, failure.Message)
	}
}

// SAP Gateway answers a RequestID that it has processed, but whose response it no longer has, with an error. The insert
// was written. Without a RequestID in the request, the code proves nothing.
func TestOutdatedRequestIDIsWritten(t *testing.T) {
	outdated := denial("/IWBEP/CM_COS/005", "NetWeaver Idempotent Service Framework: RequestID is outdated")
	for _, test := range []struct {
		name      string
		setting   string
		operation requests.Operation
		status    uint16
		body      string
		want      string
	}{
		{"insert", repeatInDoubt, requests.Insert, 400, outdated, "written"},
		{"insert of an upsert", repeatInDoubt, requests.UpsertInsert, 400, outdated, "written"},
		{"server error", repeatInDoubt, requests.Insert, 500, outdated, "written"},
		{"other settings", retryInDoubt, requests.Insert, 400, outdated, "refused data /IWBEP/CM_COS/005"},
		{"an update", repeatInDoubt, requests.Merge, 400, outdated, "refused data /IWBEP/CM_COS/005"},
		{"another code", repeatInDoubt, requests.Insert, 400, denial("/IWBEP/CM_COS/001", "not configured"),
			"refused data /IWBEP/CM_COS/001"},
		{"no document", repeatInDoubt, requests.Insert, 400, "/IWBEP/CM_COS/005", "refused data"},
	} {
		run := open(t, withoutVersion(odatatest.New(odatatest.Options{})), products(test.setting)...)
		result, err := run.p.HandleResponse(run.context, run.deliveryState(test.operation, "/s/Products(1)"), []uint32{4},
			wit.Response{Status: test.status, Body: []byte(test.body)})
		expectEqual(t, test.name, test.want, describe(t, result, err))
	}
	result, _ := answerInserts(t, 2, part("400 Bad Request", "Content-Type: application/json\r\n\r\n", outdated),
		repeatInDoubt)
	assert.True(t, result.Results[1].Written != nil,
		"in a batch: expected it to be written, found %+v", result.Results[1])
}

// A 412 for If-Match: * names the setting of the header.
func TestPreconditionFailureNamesSetting(t *testing.T) {
	for setting, isNamed := range map[string]bool{"any": true, "none": false} {
		run := open(t, withoutVersion(odatatest.New(odatatest.Options{})), products("sap.odata.etag="+setting)...)
		result, err := run.p.HandleResponse(run.context, run.deliveryState(requests.Merge, "/s/Products(1)"), []uint32{4},
			wit.Response{Status: 412, Body: []byte(denial("X/1", "no"))})
		require.NoError(t, err)
		failure := result.Results[0].Rejected
		assert.True(t, failure != nil && strings.Contains(failure.Message, "sap.odata.etag = use") == isNamed,
			"%s: expected a rejection that names sap.odata.etag %t, found %v", setting, isNamed, failure)
	}
}
