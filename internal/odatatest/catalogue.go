package odatatest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// CataloguePath is the service catalogue of SAP Gateway, if the switch catalogue is on.
const CataloguePath = "/sap/opu/odata/IWFND/CATALOGSERVICE;v=2/"

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
