package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/responses"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// describeResponse returns the result of one response to an operation as describe formats it. The answer is a status, a
// header, | and the body.
func describeResponse(t *testing.T, run *harness, operation requests.Operation, path, answer string) string {
	t.Helper()
	header, body, _ := strings.Cut(answer, "|")
	response := wit.Response{Body: []byte(body)}
	status, header, _ := strings.Cut(header, " ")
	for _, c := range status {
		response.Status = response.Status*10 + uint16(c-'0')
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		response.Headers = []wit.Header{{Name: name, Value: value}}
	}
	out, err := run.p.HandleResponse(run.context, run.deliveryState(operation, path), []uint32{4}, response)
	return describe(t, out, err)
}

// A router's answer to $metadata means that the service is not found, whatever its status. The service's own answer
// keeps its kind.
func TestRouterAnswersMetadata(t *testing.T) {
	for answer, want := range map[string]wit.ErrorKind{
		"404 Requested route ('x') does not exist.": wit.ErrorNotFound,
		"405 <html>": wit.ErrorNotFound,
		"415 no":     wit.ErrorNotFound,
		"501 <html>": wit.ErrorNotFound,
		"404":        wit.ErrorNotFound,
		"404 " + denial("/IWFND/MED/170", "No service found"): wit.ErrorNotFound,
		"501 " + denial("X/1", "no metadata"):                 wit.ErrorUnsupported,
		"503":                                                 wit.ErrorTransient,
	} {
		_, err := newPlugin().Open(sinkconfig.V2.Class, configuration(set("00", "Orders")...), nil,
			[]wit.Response{scripted(t, answer)(&wit.Request{})})
		assert.Equal(t, want, odataerror.As(err).Kind, answer)
	}
}

// A 404 counts for a row only if the service itself sent it. Otherwise a router's 404 would count deletes as done and
// repeat inserts in doubt. The service has sent its metadata, so after a router's 404 the request is repeated.
func TestNotFoundMustComeFromService(t *testing.T) {
	document := denial("X/1", "no such order")
	noService := denial("/IWFND/MED/170", "No service found for namespace")
	noRight := denial("/IWFND/CM_CONSUMER/101", "No authorization to access the service")
	const apigee = `{"fault":{"faultstring":"Unable to identify proxy for host"}}`
	const router = "404 Not Found: Requested route ('x.cfapps.eu10.hana.ondemand.com') does not exist."
	service := odatatest.New(odatatest.Options{})
	versioned := []http.Handler{service}
	unversioned := []http.Handler{withoutVersion(service)}
	both := []http.Handler{service, withoutVersion(service)}
	for _, test := range []struct {
		services []http.Handler
		setting  string
		answer   string
		deleted  string // the result of a DELETE
		update   string // the result of an update
	}{
		{both, "", "404|" + apigee, "again transient", "again transient"},
		{both, "", "404|" + router, "again transient", "again transient"},
		{both, "", "410|" + apigee, "fault gone", "fault gone"},
		{both, "", "404|<html>gone", "again transient", "again transient"},
		{both, "", `404|{"error":{"code":404,"message":"no route"}}`, "again transient", "again transient"},
		{both, "", "404|" + noService, "fault not-found", "fault not-found"},
		{both, "", "404 DataServiceVersion: 1.0|" + noService, "fault not-found", "fault not-found"},
		{both, "", "403|" + noService, "fault forbidden", "fault forbidden"},
		{both, "", "403|" + noRight, "fault forbidden", "fault forbidden"},
		{both, "", "404|" + document, "written", "refused not-found X/1"},
		{both, "", "404 DataServiceVersion: 1.0|", "written", "refused not-found"},
		{both, "", "404 dataserviceversion: 2.0;|Not here", "written", "refused not-found"},
		{both, "", "410 DATASERVICEVERSION: 2.0|", "written", "refused not-found"},
		{versioned, "", "404|", "fault not-found", "fault not-found"},
		{unversioned, "", "404|", "written", "refused not-found"},
		{unversioned, "", "410| \r\n", "written", "refused not-found"},
		{both, "sap.odata.notfound.codes=404", "404|" + router, "written", "refused not-found"},
		{both, "sap.odata.notfound.codes=404", "404|", "written", "refused not-found"},
		{both, "sap.odata.notfound.codes=404", "404|<html>gone", "again transient", "again transient"},
	} {
		for _, s := range test.services {
			settings := append(set("00", "Order_DetailCopies"), "sap.odata.enable.delete=1")
			if test.setting != "" {
				settings = append(settings, test.setting)
			}
			run := open(t, s, settings...)
			confirmed := strings.Replace(test.deleted, "transient", "transient confirm", 1)
			lookedUp := strings.Replace(test.deleted, "written", "again insert", 1)
			for operation, want := range map[requests.Operation]string{
				requests.Delete:            test.deleted,
				requests.ConfirmDelete:     confirmed,
				requests.ReadETagForDelete: test.deleted,
				requests.Put:               test.update,
				requests.Merge:             test.update,
				requests.Patch:             test.update,
				requests.LookUp:            lookedUp,
				requests.LookUpForUpsert:   lookedUp,
			} {
				found := describeResponse(t, run, operation, "/s/Orders('1')", test.answer)
				assert.Equal(t, want, found, test.setting, "operation", operation, test.answer)
			}
		}
	}
	// The version is also learned from other responses of the service.
	run := open(t, withoutVersion(service), append(set("00", "Order_DetailCopies"), "sap.odata.enable.delete=1")...)
	out, err := run.p.HandleResponse(run.context, run.deliveryState(requests.Delete, "/s/Orders('1')"), []uint32{4},
		wit.Response{Status: 204, Headers: []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}}})
	require.True(t, err == nil && out.Context != nil, "expected a new context, found %+v (%v)", out, err)
	run.context = *out.Context
	found := describeResponse(t, run, requests.Delete, "/s/Orders('1')", "404|")
	assert.Equal(t, "fault not-found", found, "the response not to count as the service's")
}

// An HTML page with 4xx comes from a server in front of the service and fails the call. Otherwise it would reject all
// rows. A body that is too large concerns the row.
func TestHTMLErrorsFailTheCall(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, append(set("00", "Order_DetailCopies"), "sap.odata.enable.delete=1")...)
	const page = "|<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>"
	for answer, want := range map[string]string{
		"400" + page:        "fault data",
		"414" + page:        "fault data",
		"421" + page:        "fault data",
		"431" + page:        "fault data",
		"409" + page:        "fault conflict",
		"422" + page:        "fault data",
		"405" + page:        "fault unsupported",
		"413" + page:        "refused data",
		"400|":              "refused data",
		"400|no such plant": "refused data",
		"408" + page:        "again transient",
		"429" + page:        "again transient",
		`400|{"error":{"code":"X/1","message":{"value":"no such plant"}}}`: "refused data X/1",
	} {
		for _, operation := range []requests.Operation{
			requests.Insert, requests.UpsertInsert, requests.Put, requests.Merge, requests.Patch, requests.Delete,
			requests.ReadETag, requests.LookUp,
		} {
			if strings.HasPrefix(answer, "405") && operation != requests.Insert {
				continue
			}
			want := want
			if strings.HasPrefix(answer, "408") && operation.IsInsert() { // the service may have processed it
				want = "refused transient"
			}
			found := describeResponse(t, run, operation, "/s/Orders('1')", answer)
			assert.True(t, strings.TrimSuffix(found, " "+requests.StepInsert) == want,
				"operation %d, %s: expected %s, found %s", operation, answer, want, found)
		}
	}
}

// unprovenSuccesses are responses with a success status that do not prove that the service has processed the request.
// describeResponse has the same form.
var unprovenSuccesses = []string{
	"200|Service temporarily unavailable",
	`200|{"fault":{"faultstring":"no target"}}`,
	`201|{"status":"ok"}`,
	`200|"ok"`,
	"200|[]",
	`202|{"OrderID":1}`,
	`200 Location: https://h/login?to=/x|wait`,
	`200|{"d":{"OrderID`,
	`200|<fault xmlns="x">no target</fault>`,
	`200|<entry xmlns="x"/>`,
	`200|{"meta":1,"error":{"code":1}}`,
	"202|",
	"202 DataServiceVersion: 2.0|",
	`207 DataServiceVersion: 2.0|<multistatus xmlns="DAV:"/>`,
	`206 DataServiceVersion: 2.0|{"d":{"OrderID":1}}`,
}

// A gateway that answers 200 to a failed request has written nothing.
func TestSuccessMustComeFromService(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	run := open(t, withoutVersion(service), append(set("00", "Order_DetailCopies"), "sap.odata.enable.delete=1",
		"sap.odata.etag=use")...)
	const path, key = gateway + "/Order_DetailCopies", "(OrderID=1,ProductID=1)"
	for _, answer := range unprovenSuccesses {
		for operation, want := range map[requests.Operation]string{
			requests.Insert:            "refused transient",
			requests.UpsertInsert:      "refused transient",
			requests.Put:               "again transient",
			requests.UpsertMerge:       "again transient",
			requests.Delete:            "again transient",
			requests.ConfirmDelete:     "again transient confirm",
			requests.ReadETag:          "again transient",
			requests.ReadETagForDelete: "again transient",
			requests.LookUp:            "again transient",
			requests.LookUpForUpsert:   "again transient",
			requests.Find:              "again transient",
		} {
			target := path + key
			if operation == requests.Insert || operation == requests.UpsertInsert || operation == requests.Find {
				target = path
			}
			assert.Equal(t, want, describeResponse(t, run, operation, target, answer), "operation", operation, answer)
		}
	}
	for _, answer := range []string{
		"204|",
		"200| \n",
		"201|{}",
		`201|{"d":{"OrderID":1}}`,
		`201|{"odata.metadata":"x","OrderID":1,"ProductID":1}`,
		`201|<?xml version="1.0"?><a:entry xmlns:a="http://www.w3.org/2005/Atom"/>`,
		"201 Location: Order_DetailCopies(OrderID=1,ProductID=1)|made",
		"201 location: https://h" + path + key + "|made",
		"200 dataServiceVersion: 2.0|made",
	} {
		for _, operation := range []requests.Operation{
			requests.Insert, requests.UpsertInsert, requests.Put, requests.Merge, requests.Delete,
		} {
			if operation != requests.Insert && operation != requests.UpsertInsert &&
				strings.Contains(strings.ToLower(answer), "location") {
				continue // the Location proves an insert only
			}
			found := describeResponse(t, run, operation, path, answer)
			assert.Equal(t, "written", found, "operation", operation, answer, "it to be")
		}
	}
	for _, name := range []string{"RepeatabilityResult", "Repeatability-Result"} {
		answer := "201 " + name + `: Rejected|{"d":{"OrderID":1}}`
		found := describeResponse(t, run, requests.Insert, path, answer)
		assert.Equal(t, "refused transient", found, name, "the insert to be in doubt")
	}
	// A request that is not repeatable is not repeated.
	target := run.target(requests.Put, path+key)
	target.Hint = requests.Hint{HasETag: true, ETag: `W/"1"`}
	state := target.AppendState(requests.AppendStateHead(nil, 0, 0, 1, capabilities.Service{}, false), nil, true)
	out, err := run.p.HandleResponse(run.context, state, []uint32{4}, wit.Response{Status: 200, Body: []byte("wait")})
	assert.Equal(t, "refused transient", describe(t, out, err), "a rejection")
}

// rejectedKeyCase is a row whose key a proxy may reject. Without a mode the row is deleted.
type rejectedKeyCase struct {
	name     string
	mode     string
	id       string
	script   []string
	requests []string
	outcome  string
}

func rejectedKeyCases() []rejectedKeyCase {
	const page = " <html><body><h2>Bad Request - Invalid URL</h2></body></html>"
	const service = "200 DataServiceVersion: 2.0"
	long := strings.Repeat("x", 260)
	return []rejectedKeyCase{
		{
			name:     "merged",
			mode:     "merge",
			id:       "50%",
			script:   []string{"400" + page, service, "400" + page},
			requests: []string{"MERGE", "GET /Orders?$top=1", "MERGE"},
			outcome:  "data",
		},
		{
			name:     "put",
			mode:     "update",
			id:       "a:b",
			script:   []string{"400" + page, service, "400" + page},
			requests: []string{"PUT", "GET /Orders?$top=1", "PUT"},
			outcome:  "data",
		},
		{
			name:     "of 260 characters",
			mode:     "merge",
			id:       long,
			script:   []string{"414" + page, service, "414" + page},
			requests: []string{"MERGE", "GET /Orders?$top=1", "MERGE"},
			outcome:  "data",
		},
		{
			name:     "with a slash",
			mode:     "upsert",
			id:       "a/b",
			script:   []string{"404" + page, service, "404" + page},
			requests: []string{"MERGE", "GET /Orders?$top=1", "MERGE"},
			outcome:  "data",
		},
		{
			name:     "the set is rejected by the service",
			mode:     "merge",
			id:       "50%",
			script:   []string{"400" + page, "403 " + denial("X/1", "no reading"), "400" + page},
			requests: []string{"MERGE", "GET /Orders?$top=1", "MERGE"},
			outcome:  "data",
		},
		{
			name:     "the set cannot be read",
			mode:     "merge",
			id:       "50%",
			script:   []string{"400" + page, "400" + page},
			requests: []string{"MERGE", "GET /Orders?$top=1"},
			outcome:  "fault data",
		},
		{
			name:     "the error has passed",
			mode:     "merge",
			id:       "50%",
			script:   []string{"404" + page, service, "204"},
			requests: []string{"MERGE", "GET /Orders?$top=1", "MERGE"},
			outcome:  outcomeWritten,
		},
		{
			name:     "no odd key",
			mode:     "merge",
			id:       "a-b",
			script:   []string{"400" + page},
			requests: []string{"MERGE"},
			outcome:  "fault data",
		},
		{
			name:     "an error document of the service",
			mode:     "merge",
			id:       "50%",
			script:   []string{"400 " + denial("X/1", "no such plant")},
			requests: []string{"MERGE"},
			outcome:  "data",
		},
		{
			name:     "not allowed",
			mode:     "merge",
			id:       "50%",
			script:   []string{"405" + page},
			requests: []string{"MERGE"},
			outcome:  "fault unsupported",
		},
		{
			name:     "an insert has no key in its address",
			mode:     "insert",
			id:       "50%",
			script:   []string{"400" + page},
			requests: []string{"POST"},
			outcome:  "fault data",
		},
		{
			name:     "deleted",
			id:       "a/b",
			script:   []string{"404" + page, service, "404" + page},
			requests: []string{"DELETE", "GET /Orders?$top=1", "DELETE"},
			outcome:  "data",
		},
	}
}

// A page in response to a key that IIS, Tomcat or Apache may reject concerns the row, if the set itself can be read.
// Otherwise it fails the call.
func TestKeysRejectedByProxies(t *testing.T) {
	t.Parallel()
	for _, test := range rejectedKeyCases() {
		settings := []string{"sap.odata.enable.batch=0", "sap.odata.enable.delete=1"}
		if test.mode != "" {
			settings = append(settings, "sap.odata.operation.mode="+test.mode)
		}
		run := openOrders(t, settings...)
		host := run.host("Orders")
		if test.mode == "" {
			host.tombstone("ID", test.id)
		} else {
			host.value("ID", test.id, "Note", "n")
		}
		host.answer = scripted(t, test.script...)
		host.run()
		requests := host.requestTexts()
		for i, text := range requests {
			if method, _, _ := strings.Cut(text, " "); method != "GET" {
				text = method
			}
			requests[i] = strings.TrimSuffix(text, " (repeatable)")
		}
		expectEqual(t, test.name+": requests", test.requests, requests)
		if found := host.outcome(); found != test.outcome {
			t.Errorf("%s: expected %s, found %s (%v)", test.name, test.outcome, found, host.reasons[0])
		}
		if test.outcome == "data" && len(test.script) == 3 && !strings.Contains(host.reasons[0].Message,
			"so a server in front of the service rejects the key") {
			t.Errorf("%s: expected the reason, found %s", test.name, host.reasons[0].Message)
		}
	}
}

// An update or delete with an inconclusive success is repeated. The error names the status and what is expected, alone
// and in a changeset.
func TestInconclusiveStatusIsReported(t *testing.T) {
	t.Parallel()
	run := openOrders(t)
	state, err := run.p.cache.Read(run.context)
	require.NoError(t, err)
	namesStatus := func(result wit.RowResult, status string) bool {
		failure := result.Rejected
		if result.Retry != nil {
			failure = result.Retry.Error
		}
		return failure != nil && failure.Kind == wit.ErrorTransient && strings.Contains(failure.Message, "/Orders") &&
			strings.Contains(failure.Message, "HTTP "+status+" does not prove that the request was done") &&
			strings.Contains(failure.Message, "such as 200, 201 or 204")
	}
	for _, operation := range []requests.Operation{
		requests.Insert, requests.UpsertInsert, requests.Put, requests.Merge, requests.Patch, requests.UpsertPut,
		requests.UpsertMerge, requests.UpsertPatch, requests.Delete,
	} {
		target := requests.Target{Operation: operation, Set: &state.Sets[0], Predicate: "('1')"}
		for _, status := range []string{"202", "206", "207"} {
			code, _ := strconv.Atoi(status)
			results, err := responses.Handle(state, &requests.Delivery{Targets: []requests.Target{target}},
				&wit.Response{Status: uint16(code)})
			assert.True(t, err == nil && results[0].Written == nil && namesStatus(results[0], status) &&
				(results[0].Retry != nil) != operation.IsInsert(),
				"operation %d: expected HTTP %s in an error, found %+v (%v)", operation, status, results, err)
			batch := requests.Delivery{BatchBytes: 1, Parts: []int{2}, Targets: []requests.Target{target, target}}
			batch.Targets[1].Predicate = "('2')"
			answer := batchAnswer(changeset(part("204 No Content"), part(status+" Odd")))
			results, err = responses.Handle(state, &batch, &answer)
			if err != nil || len(results) != 2 || !namesStatus(results[0], status) || !namesStatus(results[1], status) {
				t.Errorf("operation %d in a changeset: expected HTTP %s in two errors, found %+v (%v)", operation,
					status, results, err)
			}
		}
	}
}

// insertNotFoundCase is an insert and the responses to its requests.
type insertNotFoundCase struct {
	name     string
	mode     string
	script   []string
	requests int
	outcome  string
}

func insertNotFoundCases() []insertNotFoundCase {
	missing := "404 " + denial("X/1", "no such plant")
	return []insertNotFoundCase{
		{
			name:     "of the row",
			mode:     "insert",
			script:   []string{missing, `200 {"d":[]}`, missing},
			requests: 3,
			outcome:  "data",
		},
		{
			name:     "of an upsert's row",
			mode:     "upsert",
			script:   []string{"404 DataServiceVersion: 2.0", missing, `200 {"d":[]}`, missing},
			requests: 4,
			outcome:  "data",
		},
		{
			name:     "of a set without read permission",
			mode:     "insert",
			script:   []string{missing, "405 " + denial("X/2", "insert only"), missing},
			requests: 3,
			outcome:  "data",
		},
		{
			name:     "of a set whose reading isn't implemented",
			mode:     "insert",
			script:   []string{missing, "501 " + denial("X/2", "not implemented"), missing},
			requests: 3,
			outcome:  "data",
		},
		{
			name:     "the error has passed",
			mode:     "insert",
			script:   []string{missing, `200 {"d":[]}`, "201"},
			requests: 3,
			outcome:  outcomeWritten,
		},
		{
			name:     "of the set",
			mode:     "insert",
			script:   []string{missing, missing},
			requests: 2,
			outcome:  "fault not-found",
		},
		{
			name:     "of the service",
			mode:     "insert",
			script:   []string{"404 " + denial("/IWFND/MED/170", "No service found")},
			requests: 1,
			outcome:  "fault not-found",
		},
		{
			name:     "without a document",
			mode:     "insert",
			script:   []string{"404 DataServiceVersion: 2.0"},
			requests: 1,
			outcome:  "fault not-found",
		},
	}
}

// A POST that is answered 404 with an error document concerns the row, if the set itself can be read, as for CAP, RAP
// and SAP Gateway. Otherwise the set does not exist.
func TestInsertAnsweredNotFound(t *testing.T) {
	t.Parallel()
	const setRead = "GET /Orders?$top=1 (repeatable)"
	for _, test := range insertNotFoundCases() {
		run := openOrders(t, "sap.odata.enable.batch=0", "sap.odata.operation.mode="+test.mode)
		requests, _, host := run.writeOrders(test.script, []any{"ID", "a", "Note", "n"})
		if found, n := host.outcome(), len(requests); found != test.outcome || n != test.requests {
			t.Errorf("%s: expected %s after %d requests, found %s after %d (%v)", test.name, test.outcome,
				test.requests, found, n, host.reasons[0])
		}
		if test.outcome == "data" {
			if n := len(requests); n < 2 || requests[n-2] != setRead {
				t.Errorf("%s: expected %s before the last request, found %q", test.name, setRead, requests)
			}
			if failure := host.reasons[0]; failure == nil || !strings.Contains(failure.Message, "no such plant") {
				t.Errorf("%s: expected the service's message, found %v", test.name, failure)
			}
		}
	}
}

// If an insert in a batch is answered 404, the other rows are written.
func TestInsertInBatchAnsweredNotFound(t *testing.T) {
	t.Parallel()
	run := openOrders(t, oneOrderingKey)
	host := run.host("Orders")
	for _, id := range []string{"a", "b", "c"} {
		host.value("ID", id, "Note", "n")
	}
	host.answer = func(request *wit.Request) wit.Response {
		switch {
		case request.Method == "GET":
			return wit.Response{Status: 200, Body: []byte(`{"d":[]}`)}
		case strings.HasSuffix(request.Target, "/$batch"):
			rejected := part("404 Not Found", "\r\n", denial("X/1", "no such plant"))
			return batchAnswer(part("201 Created"), rejected, part("201 Created"))
		}
		return wit.Response{Status: 404, Body: []byte(denial("X/1", "no such plant"))}
	}
	host.run()
	diff := cmp.Diff([]string{outcomeWritten, "data", outcomeWritten}, host.outcomes)
	assert.True(t, diff == "" && host.taskError == nil, "in a batch: (-expected +found)\n%s (%v)", diff, host.taskError)
}

// With key.from = value, each key property comes from the value, or else from the record's key. If both are needed they
// must not contradict each other.
func TestKeysFromValueAndRecord(t *testing.T) {
	t.Parallel()
	const key = `<PropertyRef Name="ID"/>`
	metadata := strings.Replace(shop, key, key+`<PropertyRef Name="Count"/>`, 1)
	for _, test := range []struct {
		name  string
		key   []any
		value []any
		want  string
	}{
		{
			name:  "all in the value",
			key:   []any{"ID", "z", "Count", int64(9)},
			value: []any{"ID", "a", "Count", int64(1)},
			want:  "(ID='a',Count=1)",
		},
		{name: "each has one", key: []any{"Count", int64(9)}, value: []any{"ID", "a"}, want: "(ID='a',Count=9)"},
		{
			name:  "each has one, the other way",
			key:   []any{"ID", "z"},
			value: []any{"Count", int64(1)},
			want:  "(ID='z',Count=1)",
		},
		{
			name:  "all in the key",
			key:   []any{"ID", "z", "Count", int64(9)},
			value: []any{"Note", "n"},
			want:  "(ID='z',Count=9)",
		},
		{
			name:  "one twice, the same",
			key:   []any{"ID", "A", "Count", int64(9)},
			value: []any{"ID", "a"},
			want:  "(ID='a',Count=9)",
		},
		{
			name:  "one twice, another",
			key:   []any{"ID", "z", "Count", int64(9)},
			value: []any{"ID", "a"},
			want:  `found "a" and "z"`,
		},
		{name: "one nowhere", key: []any{"ID", "z"}, value: []any{"ID", "z"}, want: "the key needs property Count"},
		{
			name:  "a null",
			key:   []any{"ID", "z", "Count", nil},
			value: []any{"ID", "z"},
			want:  "the key needs property Count",
		},
		{
			name:  "no number",
			key:   []any{"Count", "x"},
			value: []any{"ID", "a"},
			want:  `key property Count: expected Edm.Int32, found "x"`,
		},
	} {
		run := open(t, metadataService(metadata), append(set("00", "Orders"), "sap.odata.operation.mode=merge",
			"sap.odata.enable.batch=0")...)
		host := run.host("Orders")
		host.add(run.schemaless(fields(test.key...)), run.schemaless(fields(test.value...)))
		host.answer = func(*wit.Request) wit.Response { return wit.Response{Status: 204} }
		host.run()
		found := ""
		if len(host.requests) > 0 {
			found = host.requests[0].Target
		} else if host.reasons[0] != nil {
			found = host.reasons[0].Message
		}
		assert.True(t, strings.Contains(found, test.want), "%s: expected %s, found %s", test.name, test.want, found)
	}
}
