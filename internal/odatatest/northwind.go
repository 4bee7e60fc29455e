package odatatest

import (
	"math"
	"slices"
	"strconv"
)

// northwind is the model and data of the service: a Northwind with rows that are computed from their numbers.
type northwind struct {
	tables       []*table
	byName       map[string]*table
	associations []*association
	complexTypes []*complexType

	rows      int // orders
	products  int
	customers int
}

const (
	firstOrder   = 10248
	firstDay     = 9681 // 1996-07-04, in days since 1970
	ticksPerDay  = 86400 * ticksPerSecond
	employeeRows = 9
	supplierRows = 29
	allTypesRows = 240
)

// detailsBefore returns the number of lines of the first n orders: orders have 1, 2, 3, 4, 1, 2, … lines.
func detailsBefore(n int) int { return n/4*10 + [4]int{0, 1, 3, 6}[n%4] }

// detailOf splits the number of a line into the number of its order and its index there.
func detailOf(n int) (order, line int) {
	group := n / 10 * 4
	index := n % 10
	switch {
	case index < 1:
		return group, index
	case index < 3:
		return group + 1, index - 1
	case index < 6:
		return group + 2, index - 3
	}
	return group + 3, index - 6
}

func newNorthwind(rows int) *northwind {
	m := &northwind{byName: map[string]*table{}, rows: rows, products: max(77, rows/10), customers: max(91, rows/100)}
	m.addCategories()
	m.addSuppliers()
	m.addProducts()
	m.addCustomers()
	m.addEmployees()
	m.addOrders()
	m.addOrderDetails()
	m.addAllTypes()
	m.addCopies()
	m.joinAll()
	return m
}

func (no *northwind) add(name string, typ *entityType, rows int, generate func(n int, r *row)) *table {
	t := &table{name: name, typ: typ, base: rows, generate: generate, changed: map[int]*row{}, next: int64(rows) + 1}
	no.tables = append(no.tables, t)
	no.byName[name] = t
	return t
}

// Shorthand for the columns below.

func key(name string, k kind) property { return property{name: name, kind: k} }

func text(name string, length int) property {
	return property{name: name, kind: stringKind, nullable: true, maxLength: length}
}

func column(name string, k kind) property { return property{name: name, kind: k, nullable: true} }

func decimal(name string, precision, scale int) property {
	return property{name: name, kind: decimalKind, nullable: true, precision: precision, scale: scale}
}

func required(p property) property {
	p.nullable = false
	return p
}

func identity(name string) property { return property{name: name, kind: int32Kind, identity: true} }

// joinAll declares the associations; the names of the navigation properties are Northwind's.
func (no *northwind) joinAll() {
	no.addAssociation("FK_Products_Categories", "Categories", "Products", "Category", "CategoryID", true, nil)
	no.addAssociation("FK_Products_Suppliers", "Suppliers", "Products", "Supplier", "SupplierID", true, nil)
	ofCustomer := func(parent *row) (int, int, int) { return max(parent.number, 0), no.customers, no.rows }
	no.addAssociation("FK_Orders_Customers", "Customers", "Orders", "Customer", "CustomerID", true, ofCustomer)
	ofEmployee := func(parent *row) (int, int, int) { return max(parent.number, 0), employeeRows, no.rows }
	no.addAssociation("FK_Orders_Employees", "Employees", "Orders", "Employee", "EmployeeID", true, ofEmployee)
	ofOrder := func(parent *row) (int, int, int) {
		if parent.number < 0 {
			return 0, 1, 0
		}
		return detailsBefore(parent.number), 1, detailsBefore(parent.number + 1)
	}
	no.addAssociation("FK_Order_Details_Orders", "Orders", "Order_Details", "Order", "OrderID", false, ofOrder)
	no.addAssociation("FK_Order_Details_Products", "Products", "Order_Details", "Product", "ProductID", false, nil)
}

// addAssociation declares an association. The navigation property to the dependent rows has the name of their set, up
// is the name of the property in the other direction.
func (no *northwind) addAssociation(name, principal, dependent, up, foreign string, optional bool,
	candidates candidatesFunc) {
	p := no.byName[principal]
	d := no.byName[dependent]
	a := &association{name: name, principal: p, dependent: d, optional: optional,
		foreign: []int{d.typ.property(foreign)}}
	no.associations = append(no.associations, a)
	p.typ.navigations = append(p.typ.navigations, &navigation{name: dependent, association: a, many: true, target: d,
		candidates: candidates})
	d.typ.navigations = append(d.typ.navigations, &navigation{name: up, association: a, target: p})
}

var categories = []struct{ name, description string }{
	{name: "Beverages", description: "Drinks, hot & cold"},
	{name: "Condiments", description: "Sauces <sweet> and \"savoury\""},
	{name: "Confections", description: "Desserts, candies, O'Neil's breads"},
	{name: "Dairy Products", description: "Käse, crème fraîche"},
	{name: "Grains/Cereals", description: "Breads, crackers, pasta; 100% wheat"},
	{name: "Meat/Poultry"},
	{name: "Produce", description: "Dried fruit and 豆腐"},
	{name: "Seafood", description: "Рыба и морепродукты"},
}

func (no *northwind) addCategories() {
	typ := &entityType{name: "Category", keys: 1, properties: []property{
		identity("CategoryID"),
		required(text("CategoryName", 15)),
		text("Description", -1),
	}}
	no.add("Categories", typ, len(categories), func(n int, r *row) {
		r.setNumber(0, int64(n)+1)
		r.setText(1, []byte(categories[n].name))
		r.setText(2, []byte(categories[n].description))
	})
}

var (
	cities = bytesOf("Lyon", "Münster", "São Paulo", "Århus", "Luleå", "Cork", "Reims", "Graz", "Kraków", "Torino",
		"Bräcke", "Nantes", "Bern", "Oulu", "Leipzig", "Sevilla")
	countries = bytesOf("France", "Germany", "Brazil", "Denmark", "Sweden", "Ireland", "France", "Austria", "Poland",
		"Italy", "Sweden", "France", "Switzerland", "Finland", "Germany", "Spain")
	companies = bytesOf("Hanari Carnes", "Vins et alcools", "Toms Spezialitäten", "Suprêmes délices",
		"Chop-suey Chinese", "Richter & Söhne", "Wellington Importadora", "HILARIÓN-Abastos",
		"Ernst Handel", "Que Delícia", "O'Leary's Market", "Folk och fä HB", "Blondel père et fils", "Frankenversand",
		"White Clover <Wholesale>", "Split Rail \"Beer\" & Ale")
	contacts = bytesOf("Ana Trujillo", "Béatrice Noël", "Çelik Demir", "Dirk Óskarsson", "Elżbieta Wójcik",
		"Frédérique Citeaux", "Güneş Yıldız", "Hanna Moos", "Ítalo Núñez")
	productNames = bytesOf("Chai", "Pavlova", "Crème Brûlée", "Gula Malacca", "Rössle Sauerkraut", "Queso \"Cabrales\"",
		"Uncle Bob's Pears", "Tofu 豆腐", "Maxilaku", "Côte de Blaye", "Salt & Pepper", "Jalapeño <hot>")
	packagings = bytesOf("10 boxes x 20 bags", "24 - 12 oz bottles", "48 - 6 oz jars", "", "12 - 1 lb pkgs.",
		"1 kg pkg. ", "  500 g")
)

func bytesOf(texts ...string) [][]byte {
	b := make([][]byte, len(texts))
	for i, t := range texts {
		b[i] = []byte(t)
	}
	return b
}

// Suppliers have an ETag: Version is ConcurrencyMode="Fixed".
func (no *northwind) addSuppliers() {
	typ := &entityType{name: "Supplier", keys: 1, properties: []property{
		identity("SupplierID"),
		required(text("CompanyName", 40)),
		text("ContactName", 30),
		text("City", 15),
		text("Country", 15),
		text("Phone", 24),
		{name: "Version", kind: int32Kind, version: true, sap: ` sap:creatable="false" sap:updatable="false"`},
	}}
	no.add("Suppliers", typ, supplierRows, func(n int, r *row) {
		r.setNumber(0, int64(n)+1)
		r.setText(1, companies[(n*5+3)%len(companies)])
		r.setText(2, contacts[n%len(contacts)])
		r.setText(3, cities[n%len(cities)])
		r.setText(4, countries[n%len(countries)])
		r.setPhone(5, n)
		r.setNumber(6, 1)
	})
}

func (r *row) setPhone(i, n int) {
	mark := len(r.buf)
	r.buf = append(r.buf, "0049-"...)
	r.buf = appendDigits(r.buf, int64(n*7919%1000000), 6)
	r.setMarked(i, mark)
}

func (no *northwind) productColumns() []property {
	return []property{
		identity("ProductID"),
		required(text("ProductName", 40)),
		column("SupplierID", int32Kind),
		column("CategoryID", int32Kind),
		text("QuantityPerUnit", 20),
		decimal("UnitPrice", 19, 4),
		column("UnitsInStock", int16Kind),
		column("UnitsOnOrder", int16Kind),
		column("ReorderLevel", int16Kind),
		required(column("Discontinued", booleanKind)),
	}
}

func (no *northwind) addProducts() {
	typ := &entityType{name: "Product", keys: 1, properties: no.productColumns()}
	no.add("Products", typ, no.products, func(n int, r *row) {
		r.setNumber(0, int64(n)+1)
		mark := len(r.buf)
		r.buf = append(r.buf, productNames[n%len(productNames)]...)
		r.buf = append(r.buf, ' ')
		r.buf = strconv.AppendInt(r.buf, int64(n), 10)
		r.setMarked(1, mark)
		r.setNumber(2, int64(n%supplierRows)+1)
		r.setNumber(3, int64(n%len(categories))+1)
		r.setText(4, packagings[n%len(packagings)])
		mark = len(r.buf)
		r.buf = appendScaled(r.buf, int64(n)*7919*50%2635001, 4)
		r.setMarked(5, mark)
		r.setNumber(6, int64(n*31%125))
		r.setNumber(7, int64(n*17%80))
		r.setNumber(8, int64(n%6*5))
		if n%13 == 12 {
			r.setNull(2)
			r.setNull(4)
			r.setNull(8)
		}
		r.setNumber(9, int64(n%11/10))
	})
}

// appendCustomer writes the five letters of customer n; they sort like the numbers.
func appendCustomer(b []byte, n int) []byte {
	var letters [5]byte
	for i := 4; i >= 0; i-- {
		letters[i] = byte('A' + n%26)
		n /= 26
	}
	return append(b, letters[:]...)
}

func (no *northwind) addCustomers() {
	typ := &entityType{name: "Customer", keys: 1, properties: []property{
		required(text("CustomerID", 5)),
		required(text("CompanyName", 40)),
		text("ContactName", 30),
		text("Address", 60),
		text("City", 15),
		text("Region", 15),
		text("PostalCode", 10),
		text("Country", 15),
		text("Phone", 24),
	}}
	no.add("Customers", typ, no.customers, func(n int, r *row) {
		mark := len(r.buf)
		r.buf = appendCustomer(r.buf, n)
		r.setMarked(0, mark)
		r.setText(1, companies[n%len(companies)])
		r.setText(2, contacts[n%len(contacts)])
		mark = len(r.buf)
		r.buf = append(append(r.buf, "Rue du Marché "...), cities[n%len(cities)]...)
		r.setMarked(3, mark)
		r.setText(4, cities[n%len(cities)])
		r.setNull(5)
		r.setPostalCode(6, n)
		r.setText(7, countries[n%len(countries)])
		r.setPhone(8, n)
	})
}

// setPostalCode keeps leading zeros.
func (r *row) setPostalCode(i, n int) {
	mark := len(r.buf)
	r.buf = appendDigits(r.buf, int64(n*6151%100000), 5)
	r.setMarked(i, mark)
}

func (no *northwind) addEmployees() {
	typ := &entityType{name: "Employee", keys: 1, properties: []property{
		identity("EmployeeID"),
		required(text("LastName", 20)),
		required(text("FirstName", 10)),
		text("Title", 30),
		column("BirthDate", dateTimeKind),
		column("HireDate", dateTimeKind),
		text("Notes", -1),
		column("ReportsTo", int32Kind),
	}}
	no.add("Employees", typ, employeeRows, func(n int, r *row) {
		r.setNumber(0, int64(n)+1)
		r.setText(1, contacts[n][slices.Index(contacts[n], ' ')+1:])
		r.setText(2, contacts[n][:slices.Index(contacts[n], ' ')])
		r.setText(3, []byte("Sales Representative"))
		r.setNumber(4, int64(-9000+n*731)*ticksPerDay)
		r.setNumber(5, int64(8000+n*91)*ticksPerDay)
		r.setText(6, []byte("First line\nsecond line\r\n\ttabbed & <marked>"))
		r.setNumber(7, 1)
		if n == 0 {
			r.setNull(7)
		}
	})
}

func orderColumns() []property {
	return []property{
		identity("OrderID"),
		text("CustomerID", 5),
		column("EmployeeID", int32Kind),
		column("OrderDate", dateTimeKind),
		column("RequiredDate", dateTimeKind),
		column("ShippedDate", dateTimeKind),
		column("ShipVia", int32Kind),
		decimal("Freight", 19, 4),
		text("ShipName", 40),
		text("ShipCity", 15),
		text("ShipPostalCode", 10),
		text("ShipCountry", 15),
	}
}

func (no *northwind) addOrders() {
	typ := &entityType{name: "Order", keys: 1, properties: orderColumns()}
	t := no.add("Orders", typ, no.rows, func(n int, r *row) {
		r.setNumber(0, firstOrder+int64(n))
		mark := len(r.buf)
		r.buf = appendCustomer(r.buf, n%no.customers)
		r.setMarked(1, mark)
		r.setNumber(2, int64(n%employeeRows)+1)
		day := int64(firstDay + n/4%20000)
		r.setNumber(3, day*ticksPerDay)
		r.setNumber(4, (day+28)*ticksPerDay)
		r.setNumber(5, (day+int64(n%30))*ticksPerDay)
		r.setNumber(6, int64(n%3)+1)
		mark = len(r.buf)
		r.buf = appendScaled(r.buf, int64(n)*7919*100%9999900, 4)
		r.setMarked(7, mark)
		r.setText(8, companies[n%no.customers%len(companies)])
		r.setText(9, cities[n%no.customers%len(cities)])
		r.setPostalCode(10, n%no.customers)
		r.setText(11, countries[n%no.customers%len(countries)])
		if n%23 == 11 {
			r.setNull(5)
		}
		if n%97 == 5 {
			r.setNull(2)
		}
		if n%211 == 7 {
			r.setNull(1)
		}
	})
	t.next = firstOrder + int64(no.rows)
}

func detailColumns() []property {
	return []property{
		key("OrderID", int32Kind),
		key("ProductID", int32Kind),
		required(decimal("UnitPrice", 19, 4)),
		required(column("Quantity", int16Kind)),
		required(column("Discount", singleKind)),
	}
}

var discounts = []uint64{math.Float64bits(0), math.Float64bits(float64(float32(0.05))),
	math.Float64bits(float64(float32(0.15))), math.Float64bits(0.25)}

func (no *northwind) addOrderDetails() {
	typ := &entityType{name: "Order_Detail", keys: 2, properties: detailColumns()}
	no.add("Order_Details", typ, detailsBefore(no.rows), func(n int, r *row) {
		order, line := detailOf(n)
		r.setNumber(0, firstOrder+int64(order))
		r.setNumber(1, int64(1+order*7%(no.products-16)+line*5))
		mark := len(r.buf)
		r.buf = appendScaled(r.buf, int64(n)*7919*100%2635000, 4)
		r.setMarked(2, mark)
		r.setNumber(3, int64(n*13%120)+1)
		r.setNumber(4, int64(discounts[n%len(discounts)]))
	})
}

// The sets for writing are empty at the start and have their own types.
func (no *northwind) addCopies() {
	none := func(int, *row) {}
	no.add("Order_DetailCopies", &entityType{name: "Order_DetailCopy", keys: 2, properties: detailColumns()}, 0, none)
	orders := orderColumns()
	orders[0] = key("OrderID", int32Kind)
	no.add("OrderCopies", &entityType{name: "OrderCopy", keys: 1, properties: orders}, 0, none)
	products := no.productColumns()
	products[0] = key("ProductID", int32Kind)
	no.add("ProductCopies", &entityType{name: "ProductCopy", keys: 1, properties: products}, 0, none)
	allTypes := slices.Clone(no.byName["AllTypes"].typ.properties)
	no.add("AllTypesCopies", &entityType{name: "AllTypesCopy", keys: 1, properties: allTypes}, 0, none)
	no.add("Inbox", &entityType{name: "Message", keys: 1, properties: []property{
		identity("MessageID"),
		text("Topic", 249),
		text("Body", -1),
		column("ReceivedAt", dateTimeKind),
	}}, 0, none)
}
