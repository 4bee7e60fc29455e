package odatatest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// CataloguePath is the service catalogue of SAP Gateway, if the switch catalogue is on.
const CataloguePath = "/sap/opu/odata/IWFND/CATALOGSERVICE;v=2/"

// Catalogue4Path is SAP Gateway's catalogue of services of v4, if the switch catalogue is on.
const Catalogue4Path = "/sap/opu/odata4/iwfnd/config/default/iwfnd/catalog/0002/"

const groupsOfPage = 1000 // service groups on a page of the catalogue

// serveCatalogue4 answers pages of service groups with one service each.
func (ex *exchange) serveCatalogue4(path string) *fault {
	if path != "ServiceGroups" {
		return notFound(path)
	}
	options := ex.r.URL.Query()
	if expand := options.Get("$expand"); expand != "DefaultSystem($expand=Services)" {
		return badRequest("Expected $expand=DefaultSystem($expand=Services), found '%s'.", expand)
	}
	start, _ := parseNatural(options.Get("$skiptoken"))
	end := min(start+groupsOfPage, ex.sw.Catalogue)
	var groups []string
	for i := start + 1; i <= end; i++ {
		name := fmt.Sprintf("ZDEMO_%05d", i)
		title := fmt.Sprintf("Demo service %d", i)
		servicePath := fmt.Sprintf("/sap/opu/odata4/sap/zdemo_%05d/srvd_a2x/sap/zdemo_%05[1]d/0001/", i)
		if i == 1 {
			name = "NORTHWIND"
			title = "Northwind"
			servicePath = SAP4Path
		}
		groups = append(groups, fmt.Sprintf(`{"GroupId":"%s","DefaultSystem":{"SystemAlias":"LOCAL","Services":[`+
			`{"ServiceId":"%s","ServiceVersion":"0001","Description":"%s","ServiceUrl":"%s?sap-client=100"}]}}`,
			name, name, title, servicePath))
	}
	next := ""
	if end < ex.sw.Catalogue {
		next = fmt.Sprintf(`,"@odata.nextLink":"ServiceGroups?$expand=DefaultSystem($expand=Services)&$skiptoken=%d"`,
			end)
	}
	h := ex.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("OData-Version", "4.0")
	ex.w.WriteHeader(http.StatusOK)
	fmt.Fprintf(ex.w, `{"@odata.context":"$metadata#ServiceGroups(DefaultSystem(Services()))","value":[%s]%s}`,
		strings.Join(groups, ","), next)
	return nil
}

// serveCatalogue answers the collection of services, in JSON.
func (ex *exchange) serveCatalogue(path string) *fault {
	if path != "ServiceCollection" {
		return notFound(path)
	}
	options := ex.r.URL.Query()
	prefix := ""
	if filter := options.Get("$filter"); filter != "" {
		literal, ok := strings.CutPrefix(filter, "startswith(TechnicalServiceName,'")
		if ok {
			prefix, ok = strings.CutSuffix(literal, "')")
		}
		if !ok {
			return badRequest("The catalogue filters by startswith(TechnicalServiceName,'...') only, found '%s'.",
				filter)
		}
	}
	top := ex.sw.Catalogue
	if topOption := options.Get("$top"); topOption != "" {
		n, err := strconv.Atoi(topOption)
		if err != nil || n < 0 {
			return badRequest("Invalid value '%s' for $top.", topOption)
		}
		top = min(top, n)
	}
	var rows []string
	for i := 1; i <= ex.sw.Catalogue && len(rows) < top; i++ {
		name := fmt.Sprintf("ZDEMO_%05d_SRV", i)
		title := fmt.Sprintf("Demo service %d", i)
		switch i {
		case 1:
			name = "NORTHWIND_SRV"
			title = "Northwind"
		case 2:
			name = "NORTHWIND_ODP_SRV"
			title = "Northwind for operational data provisioning"
		}
		if strings.HasPrefix(name, prefix) {
			rows = append(rows, fmt.Sprintf(
				`{"ID":"%s_0001","Description":"%s","Title":"%s","TechnicalServiceName":"%s",`+
					`"TechnicalServiceVersion":1,"ServiceUrl":"https://erp.internal:44300/sap/opu/odata/sap/%s"}`,
				name, title, title, name, name))
		}
	}
	h := ex.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("DataServiceVersion", "2.0")
	ex.w.WriteHeader(http.StatusOK)
	fmt.Fprintf(ex.w, `{"d":{"results":[%s]}}`, strings.Join(rows, ","))
	return nil
}
