//! The JSON event format, vector by vector. Each vector is the smallest text that shows one rule.

use bytes::Bytes;
use postrider_event::{Data, Event, Malformed, Value, json};

const REQUIRED: &str = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;

fn read(text: &str) -> Result<Event, Malformed> {
    json::from_bytes(Bytes::copy_from_slice(text.as_bytes()))
}

/// An event with these members beside the required ones.
fn with(members: &str) -> Result<Event, Malformed> {
    read(&format!("{{{REQUIRED},{members}}}"))
}

#[track_caller]
fn valid(members: &str) -> Event {
    with(members).unwrap_or_else(|e| panic!("{members} is valid, but: {e}"))
}

fn written(event: &Event) -> String {
    let mut text = Vec::new();
    json::write(event, &mut text);
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[test]
fn an_event_is_read_whole() {
    let event = valid(
        r#""datacontenttype":"application/json","dataschema":"https://example.com/s?v=1","subject":"x y",
        "time":"2026-11-23T14:33:08.123+01:00","text":"é","number":-7,"yes":true,"no":false,"data":{"a":[1,2]}"#,
    );
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/s", "t"));
    assert_eq!(event.data_content_type(), Some("application/json"));
    assert_eq!(event.data_schema(), Some("https://example.com/s?v=1"));
    assert_eq!(event.subject(), Some("x y"));
    assert_eq!(event.time(), Some("2026-11-23T14:33:08.123+01:00"));
    assert_eq!(event.attribute("text"), Some(Value::String("é")));
    assert_eq!(event.attribute("number"), Some(Value::Integer(-7)));
    assert_eq!(event.attribute("yes"), Some(Value::Boolean(true)));
    assert_eq!(event.attribute("no"), Some(Value::Boolean(false)));
    assert_eq!(event.attribute("specversion"), Some(Value::String("1.0")));
    assert_eq!(event.attribute("other"), None);
    assert_eq!(event.data(), Some(&Data::Json(Bytes::from_static(br#"{"a":[1,2]}"#))));
    let names: Vec<&str> = event.attributes().map(|(name, _)| name).collect();
    let order = [
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "no",
        "number",
        "text",
        "yes",
    ];
    assert_eq!(names, order, "core attributes first, then extensions by name");
}

#[test]
fn valid_events_are_taken() {
    for members in [
        r#""subject":null,"time":null,"datacontenttype":null,"dataschema":null,"ext":null"#,
        r#""source2":"x""#,
        r#""anextensionwithanameoverlong":"x""#,
        r#""ext":"""#,
        r#""ext":-2147483648"#,
        r#""ext":2147483647"#,
        r#""ext":-0"#,
        r#""ext":"2147483648""#,
        r#""subject":"\u00e9\ud83d\ude00\u20ac""#,
        r#""subject":" ""#,
        r#""time":"2016-12-31T23:59:60Z""#,
        r#""time":"2016-12-31t23:59:59.000000001z""#,
        r#""datacontenttype":"text/xml","data":"<a b=\"c\"/>""#,
        r#""datacontenttype":"text/xml""#,
        r#""datacontenttype":"image/png","data_base64":"iVBORw==""#,
        r#""data_base64":"""#,
        r#""data_base64":null"#,
        r#""data_base64":null,"data":1"#,
        r#""data":1e400"#,
        r#""data":"\ud800""#,
    ] {
        valid(members);
    }
    for source in [
        "#f",
        "?q",
        "//host",
        "1-555-123-4567",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:a@b.c",
    ] {
        let text = format!(r#"{{"specversion":"1.0","id":"1","source":"{source}","type":"t"}}"#);
        assert_eq!(read(&text).as_ref().map(Event::source), Ok(source));
    }
    assert!(read(&format!(" \n{{ {REQUIRED} }}\t")).is_ok(), "white space around");
    assert!(
        read(r#"{"\u0073pecversion":"1.0","i\u0064":"1","source":"\/s","type":"t"}"#).is_ok(),
        "escaped names"
    );
}

/// What every refusal of these is to name.
#[track_caller]
fn refused(text: &str, attribute: Option<&str>) {
    match read(text) {
        Ok(event) => panic!("{text} was taken: {event:?}"),
        Err(malformed) => assert_eq!(malformed.attribute.as_deref(), attribute, "{text}: {malformed}"),
    }
}

#[test]
fn each_required_attribute_has_to_be_there_as_a_non_empty_string() {
    let required = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
    for (name, _) in required {
        for instead in [
            "",
            "null",
            "\"\"",
            "1",
            "1.5",
            "true",
            "{}",
            "[\"1.0\"]",
            "\"\\u0000\"",
            "\"\\n\"",
            "\"\\udead\"",
        ] {
            let members: Vec<String> = required
                .iter()
                .filter(|(n, _)| *n != name || !instead.is_empty())
                .map(
                    |(n, v)| {
                        if *n == name { format!("\"{n}\":{instead}") } else { format!("\"{n}\":\"{v}\"") }
                    },
                )
                .collect();
            refused(&format!("{{{}}}", members.join(",")), Some(name));
        }
    }
    for version in ["0.3", "1.0.2", "1", "2.0", "1.0 ", "1.1"] {
        refused(
            &format!(r#"{{"specversion":"{version}","id":"1","source":"/s","type":"t"}}"#),
            Some("specversion"),
        );
    }
    for source in ["a b", "/%", "/größe", "1:a", "http://[::1", "/<x>", "/{x}", "#a#b"] {
        refused(
            &format!(r#"{{"specversion":"1.0","id":"1","source":"{source}","type":"t"}}"#),
            Some("source"),
        );
    }
}

#[test]
fn broken_rules_are_refused_and_the_attribute_is_named() {
    for (members, attribute) in [
        (r#""subject":"""#, "subject"),
        (r#""subject":1"#, "subject"),
        (r#""subject":true"#, "subject"),
        (r#""subject":["a"]"#, "subject"),
        (r#""subject":"a\u0000""#, "subject"),
        (r#""subject":"\u001f""#, "subject"),
        (r#""subject":"\u007f""#, "subject"),
        (r#""subject":"\u0085""#, "subject"),
        (r#""subject":"\u009f""#, "subject"),
        (r#""subject":"\ufdd0""#, "subject"),
        (r#""subject":"\uffff""#, "subject"),
        (r#""subject":"\ud83f\udffe""#, "subject"),
        (r#""subject":"\ud800""#, "subject"),
        (r#""subject":"\udc00\ud800""#, "subject"),
        (r#""dataschema":"""#, "dataschema"),
        (r#""dataschema":"/relative""#, "dataschema"),
        (r#""dataschema":"https://example.com/s#f""#, "dataschema"),
        (r#""dataschema":5"#, "dataschema"),
        (r#""datacontenttype":"""#, "datacontenttype"),
        (r#""datacontenttype":"json""#, "datacontenttype"),
        (r#""datacontenttype":"text/plain; charset""#, "datacontenttype"),
        (r#""datacontenttype":"json","data":{}"#, "datacontenttype"),
        (r#""datacontenttype":false"#, "datacontenttype"),
        (r#""time":"""#, "time"),
        (r#""time":"yesterday""#, "time"),
        (r#""time":"2026-02-29T00:00:00Z""#, "time"),
        (r#""time":"2026-11-23T14:33Z""#, "time"),
        (r#""time":"2026-11-23T14:33:08""#, "time"),
        (r#""time":"2026-11-23T14:33:08+24:00""#, "time"),
        (r#""time":1700000000"#, "time"),
        (r#""Ext":"x""#, "Ext"),
        (r#""ID":"x""#, "ID"),
        (r#""my-ext":"x""#, "my-ext"),
        (r#""my_ext":"x""#, "my_ext"),
        (r#""my.ext":null"#, "my.ext"),
        (r#""":"x""#, ""),
        (r#""größe":"x""#, "größe"),
        (r#""Data":1"#, "Data"),
        (r#""ext":1.5"#, "ext"),
        (r#""ext":1.0"#, "ext"),
        (r#""ext":1e3"#, "ext"),
        (r#""ext":2147483648"#, "ext"),
        (r#""ext":-2147483649"#, "ext"),
        (r#""ext":{}"#, "ext"),
        (r#""ext":[1]"#, "ext"),
        (r#""ext":"\u0007""#, "ext"),
        (r#""ext":"a","ext":"a""#, "ext"),
        (r#""ext":null,"ext":"a""#, "ext"),
        (r#""id":"1""#, "id"),
        (r#""specversion":"1.0""#, "specversion"),
        (r#""subject":null,"subject":"a""#, "subject"),
        (r#""data":1,"data":1"#, "data"),
        (r#""data_base64":"","data_base64":"""#, "data_base64"),
        (r#""data":1,"data_base64":"AA==""#, "data_base64"),
        (r#""data":null,"data_base64":"AA==""#, "data_base64"),
        (r#""data_base64":1"#, "data_base64"),
        (r#""data_base64":"AA""#, "data_base64"),
        (r#""data_base64":"AB==""#, "data_base64"),
        (r#""data_base64":"A-_=""#, "data_base64"),
        (r#""data_base64":"AA==\n""#, "data_base64"),
        (r#""datacontenttype":"text/plain","data":{}"#, "data"),
        (r#""datacontenttype":"text/plain","data":1"#, "data"),
        (r#""datacontenttype":"text/plain","data":"\udead""#, "data"),
        (r#""datacontenttype":"text/plain; charset=latin1","data":"é""#, "data"),
    ] {
        refused(&format!("{{{REQUIRED},{members}}}"), Some(attribute));
    }
    refused(&format!("{{{REQUIRED},\"{}\":1}}", "n".repeat(129)), Some(&format!("{}…", "n".repeat(128))));
}

#[test]
fn what_is_no_json_object_is_refused() {
    let open = format!("{{{REQUIRED}");
    for text in [
        String::new(),
        "null".into(),
        "[]".into(),
        "\"text\"".into(),
        format!("[{open}}}]"),
        open.clone(),
        format!("{open},}}"),
        format!("{open}}}x"),
        format!("{open},\"data\":}}"),
        format!("{open},\"data\":{{\"a\":01}}}}"),
        format!("{open},\"data\":\"\n\"}}"),
        format!("{open},\"data\":{}}}", "[".repeat(1_000_000)),
        format!("{open},\"ext\":tru}}"),
        format!("{open},ext:1}}"),
        format!("{open},\"ext\"}}"),
        format!("\u{feff}{open}}}"),
    ] {
        refused(&text, None);
    }
    let latin1 = [open.as_bytes(), b",\"subject\":\"\xe9\"}"].concat();
    assert!(json::from_bytes(latin1.into()).is_err(), "a JSON text is UTF-8");
    let many: String = (0..257).map(|n| format!(",\"e{n}\":1")).collect();
    refused(&format!("{open}{many}}}"), None);
    refused(&format!("{open},\"subject\":\"{}\"}}", "s".repeat(postrider_event::ATTRIBUTES_BYTES_MAX)), None);
}

#[test]
fn json_data_stays_the_text_that_came_and_shares_its_memory() {
    for data in
        [r#"{ "b" : 1.50, "a":[ ] , "b":2 }"#, "null", "\"a \\u0041\"", "\"{\\\"a\\\":1}\"", "-0.0", "false"]
    {
        for content_type in [
            "",
            r#""datacontenttype":"Application/JSON; charset=utf-8","#,
            r#""datacontenttype":"a/b+json","#,
        ] {
            let body = Bytes::from(format!("{{{REQUIRED},{content_type}\"data\" : {data} }}"));
            let event = json::from_bytes(body.clone()).expect("valid");
            let Some(Data::Json(text)) = event.data() else {
                panic!("{data} is JSON, not {:?}", event.data())
            };
            assert_eq!(text, data);
            assert!(body.as_ptr_range().contains(&text.as_ptr()), "{data} was copied");
            assert!(written(&event).ends_with(&format!("\"data\":{data}}}")), "{data} goes out as it came");
        }
    }
}

#[test]
fn a_string_under_another_type_is_the_content_itself_and_is_never_parsed_again() {
    let binary = |text: &'static str| Some(Data::Binary(Bytes::from_static(text.as_bytes())));
    for (members, data) in [
        (r#""datacontenttype":"text/plain","data":"{\"a\":1}""#, binary("{\"a\":1}")),
        (r#""data":"<a/>","datacontenttype":"application/xml""#, binary("<a/>")),
        (r#""datacontenttype":"text/plain","data":"é\n\u0000\ud83d\ude00""#, binary("é\n\0😀")),
        (r#""datacontenttype":"text/plain","data":"""#, binary("")),
        (r#""datacontenttype":"text/plain","data":null"#, None),
        (r#""datacontenttype":"text/plain; charset=latin1","data":"ascii""#, binary("ascii")),
    ] {
        assert_eq!(valid(members).data().cloned(), data, "{members}");
    }
    let string = valid(r#""data":"{\"a\":1}""#);
    assert_eq!(
        string.data(),
        Some(&Data::Json(Bytes::from_static(br#""{\"a\":1}""#))),
        "a JSON string stays one"
    );
}

#[test]
fn base64_becomes_bytes_and_no_content_type_is_invented() {
    let event = valid(r#""data_base64":"aGk\/""#);
    assert_eq!(event.data(), Some(&Data::Binary(Bytes::from_static(b"hi?"))));
    assert_eq!(event.data_content_type(), None);
    let json = valid(r#""datacontenttype":"application/json","data_base64":"e30=""#);
    assert_eq!(json.data(), Some(&Data::Binary(Bytes::from_static(b"{}"))));
}

#[test]
fn bytes_are_written_as_what_their_type_makes_of_them() {
    for (content_type, bytes, member) in [
        (Some("application/json"), &b"{\"a\": 1}"[..], "\"data\":{\"a\": 1}"),
        (Some("a/b+JSON; x=y"), b"1", "\"data\":1"),
        (Some("application/json"), b"{broken", "\"data_base64\":\"e2Jyb2tlbg==\""),
        (Some("application/json"), b"", "\"data_base64\":\"\""),
        (Some("text/plain"), b"a\"b\\c\n\r\t\x01\x7f", "\"data\":\"a\\\"b\\\\c\\n\\r\\t\\u0001\u{7f}\""),
        (Some("Text/CSV; charset=UTF-8"), "é".as_bytes(), "\"data\":\"é\""),
        (Some("text/plain"), b"\xff", "\"data_base64\":\"/w==\""),
        (Some("text/plain; charset=iso-8859-1"), b"a", "\"data_base64\":\"YQ==\""),
        (Some("application/xml"), b"<a/>", "\"data_base64\":\"PGEvPg==\""),
        (None, b"{}", "\"data_base64\":\"e30=\""),
    ] {
        let builder =
            Event::builder().id("1").source("/s").kind("t").data(Data::Binary(Bytes::copy_from_slice(bytes)));
        let builder = content_type.map_or(builder.clone(), |t| builder.data_content_type(t));
        let text = written(&builder.build().expect("valid"));
        assert!(text.ends_with(&format!(",{member}}}")), "{content_type:?} {bytes:?}: {text}");
        assert!(read(&text).is_ok(), "{text}");
    }
}

#[test]
fn an_event_is_written_with_its_types() {
    let event =
        valid(r#""ext":"a\"\\é","number":-7,"flag":true,"subject":"s","time":"2026-11-23T14:33:08Z""#);
    assert_eq!(
        written(&event),
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"s","time":"2026-11-23T14:33:08Z","ext":"a\"\\é","flag":true,"number":-7}"#
    );
}

#[test]
fn a_line_holds_no_line_break() {
    let mut line = Vec::new();
    json::write_line(&valid("\"data\":{\r\n  \"a\": \"b\\n\"\n}"), &mut line);
    let line = String::from_utf8(line).expect("JSON is UTF-8");
    assert_eq!(line.matches(['\n', '\r']).count(), 1, "{line}");
    assert!(line.ends_with("\"data\":{    \"a\": \"b\\n\" }}\n"), "{line}");
}
