package odataerror_test

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// lockCase is an error and the lock that it reports.
type lockCase struct {
	code    string
	message string
	lock    odataerror.LockKind
	proves  bool // that nothing was written
}

const none, entity, logon = odataerror.NotLocked, odataerror.EntityLocked, odataerror.LogonLocked

var lockCases = []lockCase{
	{message: "Order 7 is locked by user SMITH", lock: entity, proves: true},
	{code: "M7/021", message: "Material locked by user SMITH", lock: entity, proves: true},
	{message: "Material 4711 is locked", lock: entity, proves: true},
	{message: "Der Auftrag 7 ist durch Benutzer MEIER gesperrt", lock: entity, proves: true},
	{message: "Satz ist gesperrt durch Benutzer MEIER", lock: entity, proves: true},
	{code: "MC/601", message: "Object requested is currently locked by user SMITH", lock: entity, proves: true},
	{code: "MC/601", message: "Objet demandé bloqué", lock: entity},
	{code: "mc/601", lock: entity},
	{code: "/CPD/PWS_ODATA_MSG/002", lock: entity},
	{code: "MC/602", message: "Objet demandé", lock: none},
	{code: "VL/045", message: "The sales order 7 is currently being processed by user SMITH", lock: entity},
	{message: "Person is already being processed by user SMITH", lock: entity},
	{message: "Delivery 80000001 is currently being processed (by user SMITH)", lock: entity},
	{message: "Document 7 is currently being processed", lock: entity},
	{message: "SQL error 60: ORA-00060", lock: entity},
	{message: "ORA-00060: deadlock detected while waiting for resource", lock: entity},
	{message: "SQL code 133: transaction rolled back by detected deadlock", lock: entity},
	{message: "Document 7 is being processed further", lock: none},
	{message: "SQL error 1: ORA-00061", lock: none},
	{message: "Contract 7 is being edited by SMITH", lock: entity},
	{message: "Object is already being edited by user SMITH", lock: entity},
	{message: "User SMITH is currently editing ZORDER", lock: entity},
	{message: "User SMITH already processing purchasing document 45", lock: entity},
	{message: "The controlling document 1 is already being used by user SMITH", lock: entity},
	{message: "Table VBAK record 7 blocked by another user", lock: entity, proves: true},
	{message: "Der Auftrag 7 wird gerade von Benutzer MEIER bearbeitet", lock: entity},
	{message: "Die Positionen werden bereits von MEIER geändert", lock: entity},
	{message: "Das Objekt wird zur Zeit durch MEIER bearbeitet", lock: entity},
	{message: "Benutzer MEIER bearbeitet bereits den Beleg 7", lock: entity},
	{message: "Beleg 7 ist bereits in Bearbeitung", lock: entity},
	{message: "User SMITH is locked", lock: logon, proves: true},
	{code: "00/158", message: "User is locked; notify the person responsible", lock: logon, proves: true},
	{message: "Internet user WEB (type I, client 100 ) is locked", lock: logon, proves: true},
	{message: "Logon failed: user SMITH in client 100 is locked", lock: logon, proves: true},
	{message: "Client 100 is currently locked against logon", lock: logon},
	{message: "The system is locked for maintenance", lock: logon, proves: true},
	{message: "Der Mandant 100 ist zurzeit für die Anmeldung gesperrt", lock: logon, proves: true},
	{message: "Benutzer MEIER ist gesperrt", lock: logon, proves: true},
	{message: "Benutzer MEIER im Mandanten 100 ist gesperrt", lock: logon, proves: true},
	{message: "User SMITH is locked by user MEIER", lock: entity, proves: true},
	{message: "Benutzer SMITH ist durch Benutzer MEIER gesperrt", lock: entity, proves: true},
	{message: "Order 7 of user SMITH is locked", lock: entity, proves: true},
	{message: "Ask user SMITH. Order 7 is locked", lock: entity, proves: true},
	{message: "The user is informed that material 7 is locked", lock: entity, proves: true},
	{code: "CC/196", message: "System status: change is locked by another user", lock: entity, proves: true},
	{message: "Material 7 in client 100 is locked", lock: entity, proves: true},
	{message: "Account 113100 is locked for posting", lock: entity, proves: true},
	{message: "G/L account 400000 is locked", lock: entity, proves: true},
	{message: "G/L account is locked", lock: entity, proves: true},
	{message: "Customer account 4711 is locked", lock: entity, proves: true},
	{message: "Client 4711 is locked for billing", lock: entity, proves: true},
	{message: "Client account is locked", lock: entity, proves: true},
	{message: "System status is locked", lock: entity, proves: true},
	{message: "System component 7 is locked", lock: entity, proves: true},
	{message: "Mandant 4711 ist gesperrt", lock: entity, proves: true},
	{message: "User account SMITH is locked", lock: logon, proves: true},
	{message: "Your account is locked", lock: logon, proves: true},
	{message: "The account was temporarily locked", lock: logon},
	{message: "Account is locked", lock: logon, proves: true},
	{message: "System PRD is locked", lock: logon, proves: true},
	{message: "Price is missing", lock: none},
	{message: "Das Feld wird von Werk 1000 nicht gepflegt", lock: none},
	{message: "Das Feld darf nicht geändert werden", lock: none},
	{message: "The order was blocked for delivery", lock: none},
	{lock: none},
}

// Locks are known by message codes and by words, English and German. A locked user, client or system is no lock of the
// row's data. Only the words that SAP is known to reject with prove that nothing was written.
func TestLocks(t *testing.T) {
	t.Parallel()
	for _, c := range lockCases {
		response := withMessage(&wit.Response{Status: 400, Target: "/s/Orders"}, c.code, c.message)
		lock := response.Lock()
		proves := response.LockProvesNothingDone()
		assert.True(t, lock == c.lock && proves == c.proves,
			"%s %q: expected %d, proof %t; found %d, proof %t", c.code, c.message, c.lock, c.proves, lock, proves)
	}
}

// Only a response with an OData error document or the OData version is from the service.
func TestWhoSentAnError(t *testing.T) {
	t.Parallel()
	const document = `{"error":{"code":"SY/530","message":{"lang":"en","value":"no"}}}`
	version := []wit.Header{{Name: "dataserviceversion", Value: "2.0"}}
	for _, c := range []struct {
		name     string
		response wit.Response

		isFromService bool
		isFromRouter  bool
	}{
		{name: "document", response: wit.Response{Status: 404, Body: []byte(document)}, isFromService: true},
		{
			name:          "Olingo's document without a code",
			response:      wit.Response{Status: 404, Body: []byte(`{"error":{"code":null,"message":"Not found"}}`)},
			isFromService: true,
		},
		{
			name:         "JSON without a code",
			response:     wit.Response{Status: 404, Body: []byte(`{"error":{"message":"Not found"}}`)},
			isFromRouter: true,
		},
		{name: "version", response: wit.Response{Status: 404, Headers: version}, isFromService: true},
		{
			name: "empty version",
			response: wit.Response{
				Status:  404,
				Headers: []wit.Header{{Name: "DataServiceVersion"}},
				Body:    []byte("no"),
			},
			isFromRouter: true,
		},
		{
			name:          "OData 4",
			response:      wit.Response{Status: 404, Headers: []wit.Header{{Name: "odata-version", Value: "4.0"}}},
			isFromService: true,
		},
		{
			name: "text",
			response: wit.Response{
				Status: 404,
				Body:   []byte("404 Not Found: Requested route ('x') does not exist."),
			},
			isFromRouter: true,
		},
		{name: "HTML", response: wit.Response{Status: 405, Body: []byte("<html>")}, isFromRouter: true},
		{
			name:         "other JSON",
			response:     wit.Response{Status: 415, Body: []byte(`{"error":"unsupported"}`)},
			isFromRouter: true,
		},
		{
			name:         "gateway's JSON",
			response:     wit.Response{Status: 501, Body: []byte(`{"error":{"code":501,"message":"no"}}`)},
			isFromRouter: true,
		},
		{name: "nothing", response: wit.Response{Status: 404, Body: []byte("\r\n")}},
		{name: "no method", response: wit.Response{Status: 405}, isFromRouter: true},
		{name: "forbidden", response: wit.Response{Status: 403, Body: []byte("<html>")}},
		{name: "bad request", response: wit.Response{Status: 400, Body: []byte("no")}},
		{name: "gone", response: wit.Response{Status: 410}},
		{name: "HTML, gone", response: wit.Response{Status: 410, Body: []byte("<html>")}, isFromRouter: true},
		{name: "unavailable", response: wit.Response{Status: 503}},
	} {
		isFromService := odataerror.FromService(&c.response, c.response.Body)
		isFromRouter := odataerror.FromRouter(&c.response, c.response.Body)
		assert.True(t, isFromService == c.isFromService && isFromRouter == c.isFromRouter,
			"%s: expected service %t, router %t; found %t, %t", c.name, c.isFromService, c.isFromRouter, isFromService,
			isFromRouter)
	}
}
