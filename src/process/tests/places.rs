//! Watch lists and regions.

use super::*;
use crate::config::{MatchRadius, Shape, Side};
use crate::sky::region::{Circle, Polygon, Region, SkyBox};

/// Degrees of an arcsecond.
const ARCSEC: f64 = 1.0 / 3_600.0;

fn list(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    write!(file, "{text}").unwrap();
    file
}

fn watchlist(lists: Vec<Matched>, require: bool) -> Step {
    Step { name: "w".into(), kind: StepKind::Watchlist { lists, require } }
}

fn watched(path: &Path, id: &str, radius: MatchRadius) -> Matched {
    Matched { radius, limit: 1_000, columns: Some(Vec::new()), ..Matched::within(path, id, 0.0) }
}

fn run(chain: &Chain, positions: &[Option<(f64, f64)>]) -> AlertBatch {
    let records = records("rb", &vec![Some(1.0); positions.len()]);
    let out = chain.apply(&batch(vec![part(&schema("s", &records), records, positions)])).unwrap();
    out.parts.into_iter().next().unwrap()
}

fn watched_by(part: &AlertBatch) -> Vec<Option<i32>> {
    part.annotations.iter().find(|a| a.field.name() == "watched").unwrap().values.as_primitive::<Int32Type>().iter().collect()
}

/// `list/entry/radius` of each hit.
fn hits(part: &AlertBatch, row: usize) -> Vec<String> {
    let lists = part.annotations.iter().find(|a| a.field.name() == "watchlists").unwrap().values.clone();
    let items = lists.as_list::<i32>().value(row);
    let items = items.as_struct();
    let text = |name: &str, i: usize| items.column_by_name(name).unwrap().as_string::<i32>().value(i).to_owned();
    let radius = items.column_by_name("radius").unwrap().as_primitive::<Float64Type>();
    (0..items.len()).map(|i| format!("{}/{}/{}", text("listid", i), text("sourceid", i), radius.value(i))).collect()
}

#[test]
fn each_entry_of_a_list_has_its_own_reach() {
    let own = list("id,ra,dec,radius\nsmall,10,20,0.5\nwide,10,20,30\naway,10,20.1,1\n");
    let fixed = list("id,ra,dec\nf,10,20\n");
    let lists = vec![watched(own.path(), "own", MatchRadius::Own(1.0)), watched(fixed.path(), "fixed", MatchRadius::Fixed(2.0))];
    let chain = Chain::new(&[watchlist(lists.clone(), false), cut("hit", "watched > 0")], None).unwrap();
    let beside = |arcsec: f64| Some((10.0, 20.0 + arcsec * ARCSEC));
    let part = run(&chain, &[HERE, beside(1.0), beside(29.9), beside(30.1), None]);
    assert_eq!(watched_by(&part), [Some(3), Some(2), Some(1), Some(0), None]);
    assert_eq!(hits(&part, 0), ["own/small/0.5", "own/wide/30", "fixed/f/2"]);
    assert_eq!(hits(&part, 2), ["own/wide/30"]);
    assert_eq!(part.verdicts[2..], [Verdict::Passed, Verdict::Skipped(1), Verdict::Skipped(1)]);
    let report = &chain.report().steps[0];
    assert_eq!((report.kind, report.passed, report.not_tried, report.matched_alerts, report.matches), ("watchlist", 5, 1, 3, 6));

    let chain = Chain::new(&[watchlist(lists, true)], None).unwrap();
    let part = run(&chain, &[HERE, beside(31.0), None]);
    assert_eq!(part.verdicts, [Verdict::Passed, Verdict::Skipped(0), Verdict::Skipped(0)]);
    assert_eq!((chain.report().steps[0].passed, chain.report().steps[0].skipped), (1, 2));
}

#[test]
fn a_bad_list_is_refused_by_its_line_and_the_one_before_stays() {
    for (row, told) in [("b,1,2,0", "0"), ("b,1,2,-1", "-1"), ("b,1,2,x", "x"), ("b,1,95,1", "95"), ("b,1,2,700000", "700000")] {
        let file = list(&format!("id,ra,dec,radius\na,1,2,3\n{row}\n"));
        let error = Chain::new(&[watchlist(vec![watched(file.path(), "l", MatchRadius::Own(1.0))], false)], None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("step 1 (`w`)") && error.contains("line 3") && error.contains(told), "{error}");
    }
    let none = list("id,ra,dec\na,1,2\n");
    let error =
        Chain::new(&[watchlist(vec![watched(none.path(), "l", MatchRadius::Own(1.0))], false)], None).unwrap_err().to_string();
    assert!(error.contains("no column `radius`"), "{error}");

    let file = list("id,ra,dec,radius\na,10,20,3\n");
    let chain = Chain::new(&[watchlist(vec![watched(file.path(), "l", MatchRadius::Own(1.0))], false)], None).unwrap();
    let look = || {
        chain.look();
        chain.look();
        watched_by(&run(&chain, &[HERE]))[0].unwrap()
    };
    assert_eq!(look(), 1);
    std::fs::write(file.path(), "id,ra,dec,radius\na,10,20,3\nb,10,20,4\n").unwrap();
    assert_eq!(look(), 2);
    std::fs::write(file.path(), "id,ra,dec,radius\na,10,20,3\nb,10,20,nothing\nc,10,20,1\n").unwrap();
    assert_eq!(look(), 2);
    std::fs::write(file.path(), "id,ra,dec,radius\na,200,20,3\n").unwrap();
    assert_eq!(look(), 0);
}

#[test]
fn alerts_pass_by_where_they_lie() {
    let region = |regions: Vec<Region>, pass: Side| {
        let regions = regions.into_iter().map(|r| Shape::Region(Arc::new(r))).collect();
        Chain::new(&[Step { name: "r".into(), kind: StepKind::Region { regions, pass } }], None).unwrap()
    };
    let circle = || Region::Circle(Circle::new((0.0, 0.0), 2.0).unwrap());
    let across = || Region::Box(SkyBox::new((350.0, 10.0), (-5.0, 5.0)).unwrap());
    let pole = || Region::Polygon(Polygon::new(&[(0.0, 80.0), (120.0, 80.0), (240.0, 80.0)]).unwrap());
    let positions = [Some((359.5, 0.5)), Some((8.0, 4.0)), Some((77.0, 90.0)), Some((180.0, 0.0)), None];
    let passes = |chain: &Chain| {
        let part = run(chain, &positions);
        part.verdicts.iter().map(|v| if *v == Verdict::Passed { '+' } else { '-' }).collect::<String>()
    };
    let inside = region(vec![circle(), pole()], Side::Inside);
    assert_eq!(passes(&inside), "+-+--");
    let report = &inside.report().steps[0];
    assert_eq!((report.kind, report.passed, report.skipped, report.not_tried), ("region", 2, 3, 1));
    assert_eq!(passes(&region(vec![across()], Side::Inside)), "++---");
    assert_eq!(passes(&region(vec![across(), pole()], Side::Outside)), "---++");

    let regions = vec![Shape::Moc("/nowhere.fits".into())];
    let missing = StepKind::Region { regions, pass: Side::Inside };
    let error = Chain::new(&[Step { name: "r".into(), kind: missing }], None).unwrap_err().to_string();
    assert!(error.starts_with("step 1 (`r`)") && error.contains("/nowhere.fits"), "{error}");
}
