package odatatest

import (
	"fmt"
	"strings"
)

// serveMetadata answers with the $metadata document.
func serveMetadata(ex *exchange) *fault {
	d := &edmx{x: ex}
	if ex.sw.Prefixes {
		d.edmx = "x"
		d.m = "meta"
		d.edm = "edm:"
	} else {
		d.edmx = "edmx"
		d.m = "m"
	}
	mount := d.x.mount
	model := d.x.model()
	d.printf(`<?xml version="1.0" encoding="utf-8"?>`+"\n"+
		`<%s:Edmx Version="1.0" xmlns:%s="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:%s="%s"`, d.edmx, d.edmx,
		d.m, nsM)
	if mount.sap {
		d.printf(` xmlns:sap="http://www.sap.com/Protocols/SAPData"`)
	}
	d.printf(">\n<%s:DataServices %s:DataServiceVersion=\"2.0\">\n", d.edmx, d.m)
	d.writeSchema(mount.namespace)
	for _, t := range model.tables {
		d.writeEntityType(t)
	}
	for _, c := range model.complexTypes {
		d.printf("<%sComplexType Name=\"%s\">\n", d.edm, c.name)
		for i := range c.properties {
			d.writeProperty(&c.properties[i])
		}
		d.printf("</%sComplexType>\n", d.edm)
	}
	for _, a := range model.associations {
		d.writeAssociation(a)
	}
	if mount.odp {
		for _, t := range []struct{ name, property string }{
			{name: "ChangeTrackingDetails", property: "SubscribedFlag"},
			{name: "SubscriptionTerminationDetails", property: "ResultFlag"},
		} {
			d.printf("<%sComplexType Name=\"%s\"><%sProperty Name=\"%s\" Type=\"Edm.Boolean\" "+
				"Nullable=\"false\"/></%sComplexType>\n", d.edm, t.name, d.edm, t.property, d.edm)
		}
	}
	if !mount.sap { // Microsoft's Northwind keeps types and container apart
		d.printf("</%sSchema>\n", d.edm)
		d.writeSchema("ODataWeb.Northwind.Model")
	}
	d.writeContainer()
	d.printf("</%sSchema>\n</%s:DataServices>\n</%s:Edmx>\n", d.edm, d.edmx, d.edmx)
	ex.sendText("application/xml;charset=utf-8", []byte(d.String()))
	return nil
}

// edmx writes an EDMX document.
type edmx struct {
	strings.Builder
	x *exchange
	// Prefixes of the namespaces. edm includes the colon.
	edmx string
	m    string
	edm  string
}

func (e *edmx) printf(format string, arguments ...any) { fmt.Fprintf(&e.Builder, format, arguments...) }

func (e *edmx) writeSchema(namespace string) {
	const edm2008 = "http://schemas.microsoft.com/ado/2008/09/edm"
	if e.edm == "" {
		e.printf(`<Schema Namespace="%s" xmlns="%s"`, namespace, edm2008)
	} else {
		e.printf(`<edm:Schema Namespace="%s" xmlns:edm="%s"`, namespace, edm2008)
	}
	if e.x.mount.sap {
		e.printf(` sap:schema-version="1"`)
	}
	e.printf(">\n")
}

func (e *edmx) writeEntityType(t *table) {
	typ := t.typ
	e.printf("<%sEntityType Name=\"%s\">\n<%sKey>\n", e.edm, typ.name, e.edm)
	for i := range typ.keys {
		e.printf("<%sPropertyRef Name=\"%s\"/>\n", e.edm, typ.properties[i].name)
	}
	e.printf("</%sKey>\n", e.edm)
	for i := range typ.properties {
		e.writeProperty(&typ.properties[i])
	}
	for _, n := range typ.navigations {
		from := n.association.dependent.name
		to := n.association.principal.name
		if n.many {
			from, to = to, from
		}
		e.printf("<%sNavigationProperty Name=\"%s\" Relationship=\"%s.%s\" FromRole=\"%s\" ToRole=\"%s\"/>\n", e.edm,
			n.name, e.x.mount.namespace, n.association.name, from, to)
	}
	e.printf("</%sEntityType>\n", e.edm)
}

func (e *edmx) writeProperty(p *property) {
	name := p.kind.String()
	if p.complex != nil {
		name = e.x.mount.namespace + "." + p.complex.name
	}
	e.printf(`<%sProperty Name="%s" Type="%s" Nullable="%t"`, e.edm, p.name, name, p.nullable)
	switch {
	case p.maxLength > 0:
		e.printf(` MaxLength="%d"`, p.maxLength)
	case p.maxLength < 0:
		e.printf(` MaxLength="Max"`)
	}
	switch p.kind {
	case decimalKind:
		e.printf(` Precision="%d" Scale="%d"`, p.precision, p.scale)
	case dateTimeKind:
		if e.x.mount.sap {
			e.printf(` Precision="7"`)
		}
	case stringKind:
		if !e.x.mount.sap {
			e.printf(` Unicode="true" FixedLength="false"`)
		}
	}
	if p.version {
		e.printf(` ConcurrencyMode="Fixed"`)
	}
	if p.identity && !e.x.mount.sap {
		e.printf(` p8:StoreGeneratedPattern="Identity" xmlns:p8="http://schemas.microsoft.com/ado/2009/02/edm/annotation"`)
	}
	if e.x.mount.sap {
		e.printf(` sap:label="%s"%s`, p.name, p.sap)
	}
	e.printf("/>\n")
}

func (e *edmx) writeAssociation(a *association) {
	namespace := e.x.mount.namespace
	multiplicity := "1"
	if a.optional {
		multiplicity = "0..1"
	}
	e.printf("<%sAssociation Name=\"%s\">\n", e.edm, a.name)
	e.printf("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"%s\"/>\n", e.edm, a.principal.name, namespace,
		a.principal.typ.name, multiplicity)
	e.printf("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"*\"/>\n", e.edm, a.dependent.name, namespace,
		a.dependent.typ.name)
	e.printf("<%sReferentialConstraint><%sPrincipal Role=\"%s\">", e.edm, e.edm, a.principal.name)
	for i := range a.foreign {
		e.printf("<%sPropertyRef Name=\"%s\"/>", e.edm, a.principal.typ.properties[i].name)
	}
	e.printf("</%sPrincipal><%sDependent Role=\"%s\">", e.edm, e.edm, a.dependent.name)
	for _, i := range a.foreign {
		e.printf("<%sPropertyRef Name=\"%s\"/>", e.edm, a.dependent.typ.properties[i].name)
	}
	e.printf("</%sDependent></%sReferentialConstraint>\n</%sAssociation>\n", e.edm, e.edm, e.edm)
}

func (e *edmx) writeContainer() {
	mount := e.x.mount
	model := e.x.model()
	e.printf(`<%sEntityContainer Name="%s" %s:IsDefaultEntityContainer="true"`, e.edm, mount.container, e.m)
	if mount.sap {
		e.printf(` sap:supported-formats="atom json"`)
	}
	e.printf(">\n")
	for _, t := range model.tables {
		e.printf(`<%sEntitySet Name="%s" EntityType="%s.%s"`, e.edm, t.name, mount.namespace, t.typ.name)
		if mount.sap {
			e.printf(` sap:content-version="1"`)
			if e.x.sw.Delta == "" || e.x.sw.Delta == "silent" {
				e.printf(` sap:change-tracking="true"`)
			}
			if e.x.sw.RefuseCount {
				e.printf(` sap:countable="false"`)
			}
		}
		e.printf("/>\n")
	}
	for _, a := range model.associations {
		e.printf("<%sAssociationSet Name=\"%s\" Association=\"%s.%s\"><%sEnd Role=\"%s\" EntitySet=\"%s\"/><%sEnd "+
			"Role=\"%s\" EntitySet=\"%s\"/></%sAssociationSet>\n", e.edm, a.name, mount.namespace, a.name, e.edm,
			a.principal.name, a.principal.name, e.edm, a.dependent.name, a.dependent.name, e.edm)
	}
	if mount.odp {
		for _, set := range odpSets {
			for _, f := range []struct{ prefix, result string }{
				{prefix: subscribedToPrefix, result: "ChangeTrackingDetails"},
				{prefix: terminatePrefix, result: "SubscriptionTerminationDetails"},
			} {
				e.printf("<%sFunctionImport Name=\"%s%s\" ReturnType=\"%s.%s\" %s:HttpMethod=\"GET\"/>\n", e.edm,
					f.prefix, set, e.x.mount.namespace, f.result, e.m)
			}
		}
	}
	e.printf("</%sEntityContainer>\n", e.edm)
}

// serveServiceDocument lists the entity sets.
func serveServiceDocument(ex *exchange) *fault {
	tables := ex.model().tables
	if ex.json {
		b := []byte(`{"d":{"EntitySets":[`)
		for i, t := range tables {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONText(b, []byte(t.name))
		}
		ex.sendText("application/json;charset=utf-8", append(b, "]}}"...))
		return nil
	}
	p := ""
	declarations := ` xmlns="http://www.w3.org/2007/app" xmlns:atom="` + nsAtom + `"`
	if ex.sw.Prefixes {
		p = "app:"
		declarations = ` xmlns:app="http://www.w3.org/2007/app" xmlns:atom="` + nsAtom + `"`
	}
	b := fmt.Appendf(nil,
		`<?xml version="1.0" encoding="utf-8"?><%sservice xml:base="%s"%s><%sworkspace><atom:title>Default</atom:title>`, p, ex.base, declarations, p)
	for _, t := range tables {
		b = fmt.Appendf(b, `<%scollection href="%s"><atom:title>%s</atom:title></%scollection>`, p, t.name, t.name, p)
	}
	b = fmt.Appendf(b, `</%sworkspace></%sservice>`, p, p)
	contentType := "application/xml;charset=utf-8"
	if ex.mount.sap {
		contentType = "application/atomsvc+xml"
	}
	ex.sendText(contentType, b)
	return nil
}
