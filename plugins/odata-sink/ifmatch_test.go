package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// WCF rejects If-Match for entities without an ETag. With etag = any the rows are sent without it, in batches,
// changesets and alone, and later rows at once. A row that is invalid by itself is rejected.
func TestServicesThatRejectIfMatch(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{sinkconfig.ModeUpdate, sinkconfig.ModeMerge, sinkconfig.ModeUpsert, "delete"} {
		for _, batches := range []string{"sap.odata.enable.batch=0", "sap.odata.enable.batch=1",
			"sap.odata.changesets=one"} {
			service := odatatest.New(odatatest.Options{})
			settings := northwind(oneOrderingKey, batches)
			host := open(t, service, settings...).host("ProductCopies")
			host.addProducts(0, 6, "old")
			host.run()
			host.expectAll(outcomeWritten)
			setSwitches(t, service, "refuse-match=true")
			if mode == "delete" {
				settings = append(settings, "sap.odata.enable.delete=1")
			} else {
				settings = append(settings, "sap.odata.operation.mode="+mode)
			}
			run := open(t, service, settings...)
			for round, wantsIfMatch := range []bool{true, false} {
				host := run.host("ProductCopies")
				if mode == "delete" {
					for i := range 3 {
						host.tombstone("ProductID", int64(3*round+i))
					}
				} else {
					host.addProducts(3*round, 3, "new")
				}
				host.run()
				host.expectAll(outcomeWritten)
				sent := 0
				for i := range host.requests {
					request := &host.requests[i]
					sent += strings.Count(requestText(request)+string(request.Body), "If-Match")
				}
				assert.True(t, wantsIfMatch == (sent > 0), "%s, %s, round %d: expected If-Match: %t, found it %d times",
					mode, batches, round, wantsIfMatch, sent)
			}
			want := []string{"0:new", "1:new", "2:new", "3:new", "4:new", "5:new"}
			if mode == "delete" {
				want = nil
			}
			expectEqual(t, mode+", "+batches, want, productsOf(service))
		}
	}
}

// If-Match: * is tried while nothing is known, and learned again if the service changes.
func TestIfMatchIsLearned(t *testing.T) {
	t.Parallel()
	merge := func(match string) string { return "MERGE " + match + "(repeatable)" }
	const with, without = "If-Match=* ", ""
	for _, test := range []struct {
		name     string
		script   []string // responses to rows, one after another
		requests []string
		outcomes []string
	}{
		{"refused for itself", []string{"400 " + denial("X/1", "no"), "400 " + denial("X/2", "no such plant")},
			[]string{merge(with), merge(without)}, []string{"data"}},
		{"wanted", []string{"400 " + denial("X/1", "no"), "428"}, []string{merge(with), merge(without)},
			[]string{"conflict"}},
		{"taken, then refused for itself", []string{"204", "400 " + denial("X/1", "no")},
			[]string{merge(with), merge(with)}, []string{outcomeWritten, "data"}},
		{"locked for a while", []string{"400 " + denial("X/1", "locked by SMITH"), "204"},
			[]string{merge(with), merge(with)}, []string{outcomeWritten}},
		{"taken, and wanted all the same", []string{"204", "428"}, []string{merge(with), merge(with)},
			[]string{outcomeWritten, "conflict"}},
		{"not taken, then wanted", []string{"400", "204", "428", "204", "400"},
			[]string{merge(with), merge(without), merge(without), merge(with), merge(with)},
			[]string{outcomeWritten, outcomeWritten, "data"}},
	} {
		service := odatatest.New(odatatest.Options{})
		run := open(t, service, northwind("sap.odata.operation.mode=merge", "sap.odata.enable.batch=0")...)
		answer := scripted(t, test.script...)
		var requests, outcomes []string
		for i := range test.outcomes {
			host := run.host("ProductCopies")
			host.addProducts(i, 1, "x")
			host.answer = answer
			host.run()
			for n := range host.requests {
				request := host.requests[n]
				request.Target = ""
				request.Body = nil
				requests = append(requests, strings.ReplaceAll(requestText(&request), "  ", " "))
			}
			outcomes = append(outcomes, host.outcomes...)
		}
		expectEqual(t, test.name, [][]string{test.requests, test.outcomes}, [][]string{requests, outcomes})
	}
}

// If the service requires If-Match after all, all rows of the batch are repeated with it, and later rows contain it at
// once.
func TestIfMatchRequiredByBatch(t *testing.T) {
	t.Parallel()
	run := open(t, odatatest.New(odatatest.Options{}), northwind("sap.odata.operation.mode=merge",
		"sap.odata.changesets=one",
		oneOrderingKey)...)
	for round, requests := range []string{"MERGE with, MERGE without", "3 without, 3 with", "3 with"} {
		host := run.host("ProductCopies")
		host.addProducts(0, min(2*round+1, 3), "x")
		var sent []string
		host.answer = func(request *wit.Request) wit.Response {
			text := requestText(request)
			count := strings.Count(text, "\nMERGE ")
			match := "without"
			if strings.Contains(text, "If-Match") {
				match = "with"
			}
			if count == 0 { // without a batch
				sent = append(sent, "MERGE "+match)
				return wit.Response{Status: map[string]uint16{"with": 400, "without": 204}[match]}
			}
			sent = append(sent, fmt.Sprint(count, " ", match))
			answer := part("428 Precondition Required")
			if match == "with" {
				answer = changeset(part("204 No Content"))
			}
			return batchAnswer(strings.Repeat(answer, count))
		}
		host.run()
		host.expectAll(outcomeWritten)
		assert.Equal(t, requests, strings.Join(sent, ", "), "round", round)
	}
}

// An upsert whose insert finds an entity and whose update finds none ends as a conflict: another entity has the same
// unique value. If the entity was deleted in between, it is inserted.
func TestUpsertsWithoutEntityConflict(t *testing.T) {
	t.Parallel()
	const exists, missing = `409 {"error":{"code":"X/1","message":{"value":"unique constraint violated"}}}`,
		"404 DataServiceVersion: 2.0"
	for _, test := range []struct {
		first   string
		etag    string
		script  []string
		outcome string
	}{
		{"update", "any", []string{missing, exists, missing, exists}, "conflict"},
		{"update", "any", []string{missing, exists, "412", exists}, "conflict"},
		{"insert", "any", []string{exists, missing, exists}, "conflict"},
		{"update", "use", []string{missing, exists, missing, exists}, "conflict"},
		{"update", "any", []string{missing, exists, missing, "201"}, outcomeWritten},
		{"insert", "any", []string{exists, missing, "201"}, outcomeWritten},
		{"update", "any", []string{missing, exists, "204"}, outcomeWritten},
	} {
		run := openOrders(t, "sap.odata.operation.mode=upsert", "sap.odata.upsert.first="+test.first,
			"sap.odata.etag="+test.etag, "sap.odata.enable.batch=0")
		_, _, host := run.writeOrders(test.script, []any{"ID", "x", "Note", "n"})
		if host.outcomes[0] != test.outcome || len(host.requests) != len(test.script) {
			t.Errorf("%+v: expected %s after %d requests, found %s after %d (%v)", test, test.outcome, len(test.script),
				host.outcomes[0],
				len(host.requests), host.reasons[0])
		}
		if failure := host.reasons[0]; test.outcome == "conflict" &&
			(failure == nil || !strings.Contains(failure.Message, "unique constraint") ||
				!strings.Contains(failure.Message, "an update was answered HTTP 4")) {
			t.Errorf("%+v: expected a message that names both responses, found %v", test, failure)
		}
	}
}
