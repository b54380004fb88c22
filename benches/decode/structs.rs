//! ZTF's alert (schema 4.01) and LSST's (11.0) as structs, for the decoders that fill structs through serde. Of each struct the
//! fields of one type stand together; serde finds them by their names.
//!
//! `T` is what a text becomes, `B` what bytes become: borrowed where a decoder can do that, owned where it cannot.

#![allow(non_snake_case, dead_code)]

// apache-avro asks that a struct is called as its record.
macro_rules! records {
    ($($name:ident<$($generic:ident),*> = $record:literal { $($type:ty: $($field:ident)+;)+ })+) => {
        $(#[derive(serde::Deserialize)] #[serde(rename = $record)] pub struct $name<$($generic),*> { $($(pub $field: $type,)+)+ })+
    };
}

records! {
    ZtfCandidate<T> = "candidate" {
        f64: jd ra dec ranr decnr jdstartref jdendref;
        i32: fid programid ndethist ncovhist nmtchps nframesref nmatches;
        i64: pid candid rfid;
        Option<f32>: diffmaglim xpos ypos chipsf magap sigmagap distnr magnr sigmagnr chinr sharpnr sky magdiff fwhm classtar
            mindtoedge magfromlim seeratio aimage bimage aimagerat bimagerat elong rb ssdistnr ssmagnr sumrat magapbig
            sigmagapbig sgmag1 srmag1 simag1 szmag1 sgscore1 distpsnr1 sgmag2 srmag2 simag2 szmag2 sgscore2 distpsnr2 sgmag3
            srmag3 simag3 szmag3 sgscore3 distpsnr3 dsnrms ssnrms dsdiff magzpsci magzpsciunc magzpscirms clrcoeff clrcounc
            zpclrcov zpmed clrmed clrrms neargaia neargaiabright maggaia maggaiabright exptime drb;
        Option<T>: pdiffimfilename programpi ssnamenr;
        T: isdiffpos rbversion drbversion;
        Option<i64>: tblid objectidps1 objectidps2 objectidps3;
        Option<i32>: nid rcid field nneg nbad tooflag;
        f32: magpsf sigmapsf;
        Option<f64>: jdstarthist jdendhist scorr;
    }
    ZtfPrvCandidate<T> = "prv_candidate" {
        f64: jd;
        i32: fid programid;
        i64: pid;
        Option<f32>: diffmaglim xpos ypos magpsf sigmapsf chipsf magap sigmagap distnr magnr sigmagnr chinr sharpnr sky magdiff
            fwhm classtar mindtoedge magfromlim seeratio aimage bimage aimagerat bimagerat elong rb ssdistnr ssmagnr sumrat
            magapbig sigmagapbig magzpsci magzpsciunc magzpscirms clrcoeff clrcounc;
        Option<T>: pdiffimfilename programpi isdiffpos ssnamenr;
        Option<i64>: candid tblid;
        Option<i32>: nid rcid field nneg nbad;
        Option<f64>: ra dec ranr decnr scorr;
        T: rbversion;
    }
    ZtfFpHist<T> = "fp_hist" {
        Option<i32>: field rcid;
        i32: fid programid;
        i64: pid rfid;
        Option<f32>: sciinpseeing scibckgnd scisigpix magzpsci magzpsciunc magzpscirms clrcoeff clrcounc exptime adpctdif1
            adpctdif2 diffmaglim forcediffimflux forcediffimfluxunc distnr magnr sigmagnr chinr sharpnr;
        f64: jd ranr decnr;
        Option<T>: procstatus;
    }
    ZtfCutout<T, B> = "cutout" {
        T: fileName;
        B: stampData;
    }
    ZtfAlert<T, B> = "alert" {
        T: schemavsn publisher objectId;
        i64: candid;
        ZtfCandidate<T>: candidate;
        Option<Vec<ZtfPrvCandidate<T>>>: prv_candidates;
        Option<Vec<ZtfFpHist<T>>>: fp_hists;
        Option<ZtfCutout<T, B>>: cutoutScience cutoutTemplate cutoutDifference;
    }
    LsstDiaSource<T> = "diaSource" {
        i64: diaSourceId visit;
        i32: detector psfNdata trailNdata dipoleNdata bboxSize;
        Option<i64>: diaObjectId ssObjectId parentDiaSourceId;
        f64: midpointMjdTai ra dec timeProcessedMjdTai;
        Option<f32>: raErr decErr ra_dec_Cov xErr yErr apFlux apFluxErr snr psfFlux psfFluxErr psfLnL psfChi2 trailFlux
            trailFluxErr trailRaErr trailDecErr trailLength trailLengthErr trailAngle trailAngleErr trailChi2 dipoleMeanFlux
            dipoleMeanFluxErr dipoleFluxDiff dipoleFluxDiffErr dipoleLength dipoleAngle dipoleChi2 scienceFlux scienceFluxErr
            templateFlux templateFluxErr ixx iyy ixy ixxPSF iyyPSF ixyPSF extendedness reliability;
        f32: x y;
        Option<bool>: centroid_flag apFlux_flag apFlux_flag_apertureTruncated isNegative psfFlux_flag psfFlux_flag_edge
            psfFlux_flag_noGoodPixels trail_flag_edge forced_PsfFlux_flag forced_PsfFlux_flag_edge
            forced_PsfFlux_flag_noGoodPixels shape_flag shape_flag_no_pixels shape_flag_not_contained shape_flag_parent_source
            isDipole dipoleFitAttempted pixelFlags pixelFlags_bad pixelFlags_cr pixelFlags_crCenter pixelFlags_edge
            pixelFlags_nodata pixelFlags_nodataCenter pixelFlags_interpolated pixelFlags_interpolatedCenter pixelFlags_offimage
            pixelFlags_saturated pixelFlags_saturatedCenter pixelFlags_suspect pixelFlags_suspectCenter pixelFlags_streak
            pixelFlags_streakCenter pixelFlags_injected pixelFlags_injectedCenter pixelFlags_injected_template
            pixelFlags_injected_templateCenter glint_trail;
        Option<f64>: trailRa trailDec timeWithdrawnMjdTai;
        Option<T>: band;
    }
    LsstDiaForcedSource<T> = "diaForcedSource" {
        i64: diaForcedSourceId diaObjectId visit;
        f64: ra dec midpointMjdTai timeProcessedMjdTai;
        i32: detector;
        Option<f32>: psfFlux psfFluxErr scienceFlux scienceFluxErr;
        Option<T>: band;
        Option<f64>: timeWithdrawnMjdTai;
    }
    LsstDiaObject<> = "diaObject" {
        i64: diaObjectId;
        f64: validityStartMjdTai ra dec;
        Option<f32>: raErr decErr ra_dec_Cov u_psfFluxMean u_psfFluxMeanErr u_psfFluxSigma u_fpFluxMean u_fpFluxMeanErr
            g_psfFluxMean g_psfFluxMeanErr g_psfFluxSigma g_fpFluxMean g_fpFluxMeanErr r_psfFluxMean r_psfFluxMeanErr
            r_psfFluxSigma r_fpFluxMean r_fpFluxMeanErr i_psfFluxMean i_psfFluxMeanErr i_psfFluxSigma i_fpFluxMean
            i_fpFluxMeanErr z_psfFluxMean z_psfFluxMeanErr z_psfFluxSigma z_fpFluxMean z_fpFluxMeanErr y_psfFluxMean
            y_psfFluxMeanErr y_psfFluxSigma y_fpFluxMean y_fpFluxMeanErr u_scienceFluxMean u_scienceFluxMeanErr
            g_scienceFluxMean g_scienceFluxMeanErr r_scienceFluxMean r_scienceFluxMeanErr i_scienceFluxMean
            i_scienceFluxMeanErr z_scienceFluxMean z_scienceFluxMeanErr y_scienceFluxMean y_scienceFluxMeanErr u_psfFluxMin
            u_psfFluxMax u_psfFluxMaxSlope u_psfFluxErrMean g_psfFluxMin g_psfFluxMax g_psfFluxMaxSlope g_psfFluxErrMean
            r_psfFluxMin r_psfFluxMax r_psfFluxMaxSlope r_psfFluxErrMean i_psfFluxMin i_psfFluxMax i_psfFluxMaxSlope
            i_psfFluxErrMean z_psfFluxMin z_psfFluxMax z_psfFluxMaxSlope z_psfFluxErrMean y_psfFluxMin y_psfFluxMax
            y_psfFluxMaxSlope y_psfFluxErrMean;
        i32: u_psfFluxNdata g_psfFluxNdata r_psfFluxNdata i_psfFluxNdata z_psfFluxNdata y_psfFluxNdata nDiaSources;
        Option<f64>: firstDiaSourceMjdTai lastDiaSourceMjdTai;
    }
    LsstSsSource<T> = "ssSource" {
        i64: diaSourceId ssObjectId;
        Option<T>: designation;
        f64: eclLambda eclBeta galLon galLat;
        Option<f32>: elongation phaseAngle topoRange topoRangeRate helioRange helioRangeRate ephVmag ephRate ephRateRa
            ephRateDec ephOffset ephOffsetAlongTrack ephOffsetCrossTrack helio_x helio_y helio_z helio_vx helio_vy helio_vz
            helio_vtot topo_x topo_y topo_z topo_vx topo_vy topo_vz topo_vtot;
        Option<f64>: ephRa ephDec ephOffsetRa ephOffsetDec;
        Option<i32>: diaDistanceRank;
    }
    LsstMpcOrbits<T> = "mpc_orbits" {
        i32: id;
        T: designation packed_primary_provisional_designation unpacked_primary_provisional_designation;
        Option<T>: mpc_orb_jsonb;
        Option<i64>: created_at updated_at fitting_datetime;
        Option<i32>: orbit_type_int u_param nopp nobs_total nobs_total_sel;
        Option<f64>: arc_length_total arc_length_sel a q e i node argperi peri_time yarkovsky srp a1 a2 a3 dt mean_anomaly
            period mean_motion a_unc q_unc e_unc i_unc node_unc argperi_unc peri_time_unc yarkovsky_unc srp_unc a1_unc a2_unc
            a3_unc dt_unc mean_anomaly_unc period_unc mean_motion_unc epoch_mjd h g not_normalized_rms normalized_rms
            earth_moid;
    }
    LsstAlert<T, B> = "alert" {
        i64: diaSourceId;
        Option<T>: observation_reason target_name;
        LsstDiaSource<T>: diaSource;
        Option<Vec<LsstDiaSource<T>>>: prvDiaSources;
        Option<Vec<LsstDiaForcedSource<T>>>: prvDiaForcedSources;
        Option<LsstDiaObject>: diaObject;
        Option<LsstSsSource<T>>: ssSource;
        Option<LsstMpcOrbits<T>>: mpc_orbits;
        Option<B>: cutoutDifference cutoutScience cutoutTemplate;
    }
}
