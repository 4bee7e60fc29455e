package odataerror_test

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// Locks are known by message codes and by words, English and German. A locked user, client or system is no lock of the
// row's data. Only the words that SAP is known to reject with prove that nothing was written.
func TestLocks(t *testing.T) {
	t.Parallel()
	const none, entity, logon = odataerror.NotLocked, odataerror.EntityLocked, odataerror.LogonLocked
	for _, c := range []struct {
		code, message string
		lock          odataerror.LockKind
		proves        bool
	}{
		{"", "Order 7 is locked by user SMITH", entity, true},
		{"M7/021", "Material locked by user SMITH", entity, true},
		{"", "Material 4711 is locked", entity, true},
		{"", "Der Auftrag 7 ist durch Benutzer MEIER gesperrt", entity, true},
		{"", "Satz ist gesperrt durch Benutzer MEIER", entity, true},
		{"MC/601", "Object requested is currently locked by user SMITH", entity, true},
		{"MC/601", "Objet demandé bloqué", entity, false},
		{"mc/601", "", entity, false},
		{"/CPD/PWS_ODATA_MSG/002", "", entity, false},
		{"MC/602", "Objet demandé", none, false},
		{"VL/045", "The sales order 7 is currently being processed by user SMITH", entity, false},
		{"", "Person is already being processed by user SMITH", entity, false},
		{"", "Contract 7 is being edited by SMITH", entity, false},
		{"", "Object is already being edited by user SMITH", entity, false},
		{"", "User SMITH is currently editing ZORDER", entity, false},
		{"", "User SMITH already processing purchasing document 45", entity, false},
		{"", "The controlling document 1 is already being used by user SMITH", entity, false},
		{"", "Table VBAK record 7 blocked by another user", entity, true},
		{"", "Der Auftrag 7 wird gerade von Benutzer MEIER bearbeitet", entity, false},
		{"", "Die Positionen werden bereits von MEIER geändert", entity, false},
		{"", "Das Objekt wird zur Zeit durch MEIER bearbeitet", entity, false},
		{"", "Benutzer MEIER bearbeitet bereits den Beleg 7", entity, false},
		{"", "Beleg 7 ist bereits in Bearbeitung", entity, false},
		{"", "User SMITH is locked", logon, true},
		{"00/158", "User is locked; notify the person responsible", logon, true},
		{"", "Internet user WEB (type I, client 100 ) is locked", logon, true},
		{"", "Logon failed: user SMITH in client 100 is locked", logon, true},
		{"", "Client 100 is currently locked against logon", logon, false},
		{"", "The system is locked for maintenance", logon, true},
		{"", "Der Mandant 100 ist zurzeit für die Anmeldung gesperrt", logon, true},
		{"", "Benutzer MEIER ist gesperrt", logon, true},
		{"", "Benutzer MEIER im Mandanten 100 ist gesperrt", logon, true},
		{"", "User SMITH is locked by user MEIER", entity, true},
		{"", "Benutzer SMITH ist durch Benutzer MEIER gesperrt", entity, true},
		{"", "Order 7 of user SMITH is locked", entity, true},
		{"", "Ask user SMITH. Order 7 is locked", entity, true},
		{"", "The user is informed that material 7 is locked", entity, true},
		{"CC/196", "System status: change is locked by another user", entity, true},
		{"", "Material 7 in client 100 is locked", entity, true},
		{"", "Account 113100 is locked for posting", entity, true},
		{"", "G/L account 400000 is locked", entity, true},
		{"", "G/L account is locked", entity, true},
		{"", "Customer account 4711 is locked", entity, true},
		{"", "Client 4711 is locked for billing", entity, true},
		{"", "Client account is locked", entity, true},
		{"", "System status is locked", entity, true},
		{"", "System component 7 is locked", entity, true},
		{"", "Mandant 4711 ist gesperrt", entity, true},
		{"", "User account SMITH is locked", logon, true},
		{"", "Your account is locked", logon, true},
		{"", "The account was temporarily locked", logon, false},
		{"", "Account is locked", logon, true},
		{"", "System PRD is locked", logon, true},
		{"", "Price is missing", none, false},
		{"", "Das Feld wird von Werk 1000 nicht gepflegt", none, false},
		{"", "Das Feld darf nicht geändert werden", none, false},
		{"", "The order was blocked for delivery", none, false},
		{"", "", none, false},
	} {
		answer := &wit.Response{Status: 400, Target: "/s/Orders"}
		lock := odataerror.LockOf(answer, c.code, c.message)
		proves := odataerror.LockProvesNothingDone(answer, c.message)
		if lock != c.lock || proves != c.proves {
			t.Errorf("%s %q: expected %d, proof %t; found %d, proof %t", c.code, c.message, c.lock, c.proves, lock,
				proves)
		}
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
		service  bool
		router   bool
	}{
		{"document", wit.Response{Status: 404, Body: []byte(document)}, true, false},
		{"version", wit.Response{Status: 404, Headers: version}, true, false},
		{"empty version", wit.Response{Status: 404, Headers: []wit.Header{{Name: "DataServiceVersion"}},
			Body: []byte("no")}, false, true},
		{"OData 4", wit.Response{Status: 404, Headers: []wit.Header{{Name: "odata-version", Value: "4.0"}}}, true,
			false},
		{"text", wit.Response{Status: 404, Body: []byte("404 Not Found: Requested route ('x') does not exist.")}, false,
			true},
		{"HTML", wit.Response{Status: 405, Body: []byte("<html>")}, false, true},
		{"other JSON", wit.Response{Status: 415, Body: []byte(`{"error":"unsupported"}`)}, false, true},
		{"gateway's JSON", wit.Response{Status: 501, Body: []byte(`{"error":{"code":501,"message":"no"}}`)}, false,
			true},
		{"nothing", wit.Response{Status: 404, Body: []byte("\r\n")}, false, false},
		{"no method", wit.Response{Status: 405}, false, true},
		{"forbidden", wit.Response{Status: 403, Body: []byte("<html>")}, false, false},
		{"bad request", wit.Response{Status: 400, Body: []byte("no")}, false, false},
		{"gone", wit.Response{Status: 410}, false, false},
		{"HTML, gone", wit.Response{Status: 410, Body: []byte("<html>")}, false, true},
		{"unavailable", wit.Response{Status: 503}, false, false},
	} {
		service := odataerror.FromService(&c.response, c.response.Body)
		router := odataerror.FromRouter(&c.response, c.response.Body)
		if service != c.service || router != c.router {
			t.Errorf("%s: expected service %t, router %t; found %t, %t", c.name, c.service, c.router, service, router)
		}
	}
}
