//! What English knows of common names of tables and columns. All of it is only a default: the names file has the last word.

/// Short forms in names, and what they mean.
pub const ABBREVIATIONS: [(&str, &str); 44] = [
    ("acct", "account"),
    ("addr", "address"),
    ("amt", "amount"),
    ("avg", "average"),
    ("bday", "birthday"),
    ("cat", "category"),
    ("cnt", "count"),
    ("co", "company"),
    ("curr", "currency"),
    ("cust", "customer"),
    ("dept", "department"),
    ("desc", "description"),
    ("descr", "description"),
    ("dest", "destination"),
    ("dist", "distance"),
    ("dob", "birth date"),
    ("emp", "employee"),
    ("fname", "first name"),
    ("firstname", "first name"),
    ("hr", "hour"),
    ("img", "image"),
    ("inv", "invoice"),
    ("lang", "language"),
    ("lastname", "last name"),
    ("lname", "last name"),
    ("lvl", "level"),
    ("max", "maximum"),
    ("mgr", "manager"),
    ("min", "minimum"),
    ("nbr", "number"),
    ("no", "number"),
    ("num", "number"),
    ("ord", "order"),
    ("org", "organization"),
    ("pct", "percentage"),
    ("pos", "position"),
    ("prod", "product"),
    ("pub", "publisher"),
    ("qty", "quantity"),
    ("ref", "reference"),
    ("tel", "phone"),
    ("temp", "temperature"),
    ("vol", "volume"),
    ("yr", "year"),
];

/// Nouns with a plural of their own.
pub const IRREGULAR: [(&str, &str); 12] = [
    ("person", "people"),
    ("child", "children"),
    ("man", "men"),
    ("woman", "women"),
    ("foot", "feet"),
    ("mouse", "mice"),
    ("shelf", "shelves"),
    ("movie", "movies"),
    ("cookie", "cookies"),
    ("analysis", "analyses"),
    ("leaf", "leaves"),
    ("half", "halves"),
];

/// Nouns that have no plural.
pub const UNCOUNTED: [&str; 16] = [
    "staff",
    "data",
    "information",
    "equipment",
    "inventory",
    "news",
    "species",
    "series",
    "music",
    "weather",
    "fish",
    "sheep",
    "money",
    "personnel",
    "mileage",
    "maths",
];

/// Nouns for people: "who" asks for them.
pub const PEOPLE: [&str; 58] = [
    "person", "employee", "worker", "customer", "client", "user", "member", "patient", "doctor",
    "nurse", "student", "pupil", "teacher", "professor", "instructor", "author", "writer",
    "artist", "singer", "musician", "actor", "actress", "director", "player", "coach", "driver",
    "pilot", "passenger", "reader", "guest", "visitor", "manager", "supplier", "vendor",
    "seller", "buyer", "owner", "tenant", "borrower", "lender", "friend", "contact", "staff",
    "people", "agent", "officer", "editor", "researcher", "scientist", "engineer", "contributor",
    "subscriber", "volunteer", "donor", "candidate", "judge", "child", "trainer",
];

/// Nouns for places, which things are "in" or "from".
pub const PLACES: [&str; 17] = [
    "city", "town", "village", "country", "region", "state", "county", "province", "district",
    "location", "place", "continent", "area", "neighborhood", "borough", "birthplace", "hometown",
];

/// Nouns for groups that things are "in" and belong to.
pub const GROUPS: [&str; 26] = [
    "category", "genre", "club", "team", "group", "department", "class", "section", "division",
    "league", "series", "family", "field", "industry", "sector", "branch", "office", "school",
    "course", "playlist", "album", "faculty", "segment", "conference", "ward", "room",
];

/// Nouns for what something is: it "is" active, senior, open.
pub const STATES: [&str; 9] = [
    "status", "state", "level", "condition", "phase", "stage", "rank", "rating", "priority",
];

/// Nouns for the people behind a work: it is "by" them.
pub const MAKERS: [&str; 12] = [
    "author", "artist", "composer", "director", "writer", "publisher", "maker", "manufacturer",
    "designer", "developer", "brand", "photographer",
];

/// Nouns for times that have names: "in" March, "on" Monday.
pub const TIMES: [(&str, &str); 6] = [
    ("month", "in"),
    ("season", "in"),
    ("quarter", "in"),
    ("day", "on"),
    ("weekday", "on"),
    ("date", "on"),
];

/// Nouns for causes: "because of" a cough.
pub const CAUSES: [&str; 5] = ["reason", "cause", "diagnosis", "purpose", "complaint"];

/// What rows of a table did to another's: a customer "ordered" a product.
pub const VERBS: [(&str, &str); 27] = [
    ("loan", "borrowed"),
    ("borrowing", "borrowed"),
    ("rental", "rented"),
    ("sale", "sold"),
    ("order", "ordered"),
    ("order item", "ordered"),
    ("order detail", "ordered"),
    ("purchase", "bought"),
    ("visit", "visited"),
    ("booking", "booked"),
    ("reservation", "reserved"),
    ("review", "reviewed"),
    ("rating", "rated"),
    ("enrollment", "attended"),
    ("registration", "attended"),
    ("attendance", "attended"),
    ("payment", "paid"),
    ("subscription", "subscribed to"),
    ("vote", "voted for"),
    ("delivery", "delivered"),
    ("shipment", "shipped"),
    ("membership", "joined"),
    ("assignment", "assigned"),
    ("download", "downloaded"),
    ("lesson", "taught"),
    ("win", "won"),
    ("follow", "followed"),
];

/// How a measure is compared: more, less, the most, the least of it, and the order from the least and from the most.
pub struct Comparison {
    pub words: &'static [&'static str],
    pub more: &'static [&'static str],
    pub less: &'static [&'static str],
    pub most: &'static [&'static str],
    pub least: &'static [&'static str],
}

/// Measures with words of their own.
pub const COMPARISONS: [Comparison; 10] = [
    Comparison {
        words: &["age"],
        more: &["are older than", "are over", "are above the age of"],
        less: &["are younger than", "are under", "are below the age of"],
        most: &["oldest"],
        least: &["youngest"],
    },
    Comparison {
        words: &["price", "cost", "fee", "fare", "rent", "rental rate", "unit price"],
        more: &["cost more than", "are priced above", "are more expensive than"],
        less: &["cost less than", "are priced below", "are cheaper than"],
        most: &["most expensive", "highest-priced"],
        least: &["cheapest", "least expensive"],
    },
    Comparison {
        words: &["salary", "pay", "wage", "income", "earnings"],
        more: &["earn more than", "are paid more than", "make more than"],
        less: &["earn less than", "are paid less than", "make less than"],
        most: &["best-paid", "highest-paid", "highest-earning"],
        least: &["worst-paid", "lowest-paid", "lowest-earning"],
    },
    Comparison {
        words: &["pages", "page count", "length", "duration", "runtime", "milliseconds"],
        more: &["are longer than"],
        less: &["are shorter than"],
        most: &["longest"],
        least: &["shortest"],
    },
    Comparison {
        words: &["score", "points", "goals", "mark", "grade"],
        more: &["scored more than", "scored above"],
        less: &["scored less than", "scored below"],
        most: &["top", "best", "highest-scoring"],
        least: &["lowest-scoring", "worst"],
    },
    Comparison {
        words: &["weight"],
        more: &["weigh more than", "are heavier than"],
        less: &["weigh less than", "are lighter than"],
        most: &["heaviest"],
        least: &["lightest"],
    },
    Comparison {
        words: &["height"],
        more: &["are taller than", "are higher than"],
        less: &["are shorter than", "are lower than"],
        most: &["tallest"],
        least: &["shortest"],
    },
    Comparison {
        words: &["size", "area", "capacity", "population"],
        more: &["are larger than", "are bigger than"],
        less: &["are smaller than"],
        most: &["largest", "biggest"],
        least: &["smallest"],
    },
    Comparison {
        words: &["speed"],
        more: &["are faster than"],
        less: &["are slower than"],
        most: &["fastest"],
        least: &["slowest"],
    },
    Comparison {
        words: &["distance"],
        more: &["are farther than"],
        less: &["are closer than"],
        most: &["farthest"],
        least: &["closest"],
    },
];

/// What happened at a time, by the last word of the column that holds it, as a verb of many things.
pub const HAPPENED: [(&str, &str); 16] = [
    ("year", "are from"),
    ("hired", "were hired"),
    ("hire date", "were hired"),
    ("hire year", "were hired"),
    ("born", "were born"),
    ("birth date", "were born"),
    ("birth year", "were born"),
    ("founded", "were founded"),
    ("release year", "were released"),
    ("release date", "were released"),
    ("order date", "were ordered"),
    ("invoice date", "were invoiced"),
    ("publication year", "were published"),
    ("created", "were created"),
    ("joined", "joined"),
    ("date", "are"),
];
