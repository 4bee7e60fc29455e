package probe

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// suggestFix returns the setting that fixes a failed response, or "", and advice such as a transaction of the SAP
// system, or "".
//
// Assumptions: the Internet Communication Framework answers for inactive nodes with an HTML page and 403 or 404, SAP
// Gateway with an error document whose code starts with /IWFND/ or /IWBEP/.
func suggestFix(system *gateway, response *wit.Response, failure *wit.Error) (name, advice string) {
	code := ""
	if failure.Code != nil {
		code = strings.ToUpper(*failure.Code)
	}
	isGateway := strings.Contains(code, "IWFND") || strings.Contains(code, "IWBEP")
	isPage := odataerror.IsHTML(response.Body)
	_, searchText, _ := strings.Cut(failure.Message, ": HTTP ")
	searchText = odataerror.SearchText(response.Target, searchText)
	switch status := response.Status; {
	case status == 401:
		return config.User, "The user, its password or the client (" + config.Client +
			") is not what the system knows, or the user is locked: transaction SU01 in the SAP system. Nothing more " +
			"is sent with this password, since systems lock users after a few failures"
	case (status >= 300 && status < 400) || (isPage && status >= 200 && status < 300):
		return config.User, "A logon page means that the user has to be one for technical communication: transaction " +
			"SU01, user type System or Communications"
	case status == 403 && !isGateway:
		return "", "Either the node of the service is not active (transaction SICF, " + system.node + "), or, " +
			"where a Cloud Connector is between, the virtual host or the path is not exposed (Cloud Connector, Cloud " +
			"To On-Premise, Access Control, Resources), or a firewall refuses it"
	case status == 403:
		return "", "The user lacks an authorization: transactions SU53 (of that user) and PFCG; for a service, " +
			"object S_SERVICE; details in /IWFND/ERROR_LOG"
	case status == 404 && isGateway:
		return "", "The service is not registered at this Gateway: transaction " + system.registration +
			"; or the path holds another name or version of it"
	case status == 404:
		return "", "Nothing is at this path: is it spelt as transaction " + system.registration +
			" shows it, and is its node active (transaction SICF)?"
	case status == 417:
		return "", "A Cloud Connector's administration returns HTTP 417 when a subaccount is added by a user " +
			"without the rights to: the user has to be an administrator of the subaccount or hold the role Cloud " +
			"Connector Administrator"
	case status == 400 && strings.Contains(searchText, "client"):
		return config.Client, "The client is not one of this system's"
	case status >= 500 && (strings.Contains(searchText, "rfc") || strings.Contains(searchText, "system alias")):
		return "", "The Gateway does not reach its back end: transaction SM59 (connection test of the RFC " +
			"destination) and the system alias in " + system.registration
	case status == 503:
		return "", "The system is starting, stopping or has no free work process, or no Cloud Connector is attached: " +
			"transaction SMICM; BTP cockpit, Connectivity, Cloud Connectors"
	case status == 502 || status == 504:
		return "", "Something between does not reach the system: where that is a Cloud Connector, \"Check " +
			"Availability\" of the mapping (Cloud To On-Premise, Access Control) " +
			"must be Reachable; else a reverse proxy or a load balancer"
	case status >= 500:
		return "", "The service failed: transactions /IWFND/ERROR_LOG and ST22 in the SAP system"
	}
	return "", ""
}
