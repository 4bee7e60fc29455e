package main

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// An insert whose response was lost is looked up, sent again or rejected, as configured.
func TestInsertInDoubtIsChecked(t *testing.T) {
	const repeated = "POST /Orders RequestID=FC6DBB870155B07AD4E275C2CE68029E " +
		"RepeatabilityCreation=2023-11-14T22:13:20 " + orderBody
	checkOperations(t, []operationCase{
		{"lost", nil, nil, orderValue, []string{"0"}, []string{orderInsert}, outcomeInDoubt},
		{"lost, found", []string{checkInDoubt}, nil, orderValue,
			[]string{"0", `200 {"d":{"ID":"a'b","Note":"n  ","Count":"1","Place":{"City":null}}}`},
			[]string{orderInsert, orderRead}, outcomeWritten},
		{"lost, another one found", []string{checkInDoubt}, nil, orderValue,
			[]string{"0", `200 {"d":{"ID":"a'b","Note":"other"}}`}, []string{orderInsert, orderRead}, outcomeInDoubt},
		{"lost, not there", []string{checkInDoubt}, nil, orderValue, []string{"0", "404", `200 {"d":[]}`, "201"},
			[]string{orderInsert, orderRead, orderInsert}, outcomeWritten},
		{"lost, without a key", []string{checkInDoubt}, nil, fields("Note", "n"), []string{"0"},
			[]string{`POST /Orders {"Note":"n"}`}, outcomeInDoubt},
		{"lost, with a key that the insert doesn't say", []string{checkInDoubt}, fields("ID", "k"), fields("Note", "n"),
			[]string{"0"}, []string{`POST /Orders {"Note":"n"}`}, outcomeInDoubt},
		{"lost, found by filter", []string{checkInDoubt, filterByNote}, nil, fields("Note", "n'1 &"),
			[]string{"0", `200 {"d":{"results":[{"ID":"7","Note":"n'1 &"}]}}`},
			[]string{`POST /Orders {"Note":"n'1 &"}`,
				"GET /Orders?$filter=Note%20eq%20'n''1%20%26'&$top=20 (repeatable)"}, outcomeWritten},
		{"lost, not found by filter", []string{checkInDoubt, "sap.odata.check.filter=Count eq {Count} and Note ne 'x'"},
			nil, fields("Count", int64(7)), []string{"0", `200 {"d":[]}`, "201"},
			[]string{`POST /Orders {"Count":7}`,
				"GET /Orders?$filter=Count%20eq%207%20and%20Note%20ne%20'x'&$top=20 (repeatable)",
				`POST /Orders {"Count":7}`}, outcomeWritten},
		{"lost, no filter's answer", []string{checkInDoubt, filterByNote}, nil, fields("Note", "n"),
			[]string{"0", "200 {}"},
			[]string{`POST /Orders {"Note":"n"}`, "GET /Orders?$filter=Note%20eq%20'n'&$top=20 (repeatable)"},
			outcomeInDoubt},
		{"retried", []string{"sap.odata.insert.uncertain=retry"}, nil, orderValue, []string{"0", "201"},
			[]string{"POST /Orders (repeatable) " + orderBody, "POST /Orders (repeatable) " + orderBody},
			outcomeWritten},
		{"RequestID, unknown to the service", []string{"sap.odata.insert.uncertain=repeatable"}, nil, orderValue,
			[]string{"0", "404", "201 RepeatabilityResult: accepted"},
			[]string{repeated, orderRead, repeated}, outcomeWritten},
	})
}

// A service that confirms RequestIDs gets the same RequestID again, so each document is created once.
func TestRepeatability(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	setSwitches(t, service, "repeatability=true")
	run := open(t, service, append(set("00", "Inbox"), "sap.odata.insert.uncertain=repeatable", oneOrderingKey)...)
	for round := range 3 {
		host := run.host("Inbox")
		for i := range 5 {
			host.add(wit.ValueSlice{}, host.schemaless(fields("Topic", fmt.Sprint(round, i))))
			host.rows[i].Offset += int64(100 * round)
		}
		losesResponse := round > 0
		host.answer = func(request *wit.Request) wit.Response {
			answer := host.exchange(request)
			if losesResponse && request.Method == "POST" {
				losesResponse = false
				return wit.Response{}
			}
			return answer
		}
		host.run()
		host.expectAll(outcomeWritten)
	}
	assert.Equal(t, 15, service.Count("Inbox"), "documents")
}
